//! The scenarios against a small shop: an honest one is found honest, whatever breaks, and a
//! lying one is found out.
#![expect(clippy::unwrap_used, reason = "tests")]

mod postgres;
mod shop;

use clap::Parser;
use flate2::{Compression, write::GzEncoder};
use loadtests::client::Request;
use loadtests::hammer::{Until, hammer};
use loadtests::oracle;
use loadtests::record::Run;
use loadtests::{replay, rush};
use postgres::Postgres;
use shop::{Manner, Shop};
use std::io::Write;
use std::time::Duration;

#[derive(Parser)]
enum Command {
    Rush(rush::Options),
    Replay(replay::Options),
}

/// The arguments of a scenario against these shops.
fn command(scenario: &str, shops: &[&Shop], database: &str, more: &[&str]) -> Command {
    let mut arguments = vec!["loadtests", scenario, "--database", database];
    arguments.extend(["--admin-key", "sk_test", "--connections", "64"]);
    shops.iter().for_each(|shop| arguments.extend(["--url", shop.url.as_str()]));
    arguments.extend(more);
    Command::parse_from(arguments)
}

async fn rush(shops: &[&Shop], database: &str, more: &[&str]) -> loadtests::report::Report {
    match command("rush", shops, database, more) {
        Command::Rush(options) => rush::rush(&options).await.unwrap(),
        Command::Replay(_) => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_finds_an_honest_shop_honest_and_a_liar_out() {
    let postgres = Postgres::start().await;
    let url = postgres.url("shop");
    let few = ["--buyers", "400", "--units", "150", "--ramp-seconds", "0.2"];

    let honest = Shop::open(&url, Manner::Honest);
    let record = format!("/tmp/record-{:x}.ndjson", rand::random::<u64>());
    let report = rush(&[&honest], &url, &[&few[..], &["--record", &record]].concat()).await;
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.outcomes["201"], report.outcomes["409 out_of_stock"]), (150, 250));
    assert_eq!((report.verdict.checked.replays, report.verdict.checked.lines), (150, 150));
    let again = oracle::examine(&Run::load(record.as_ref()).unwrap(), &url).await.unwrap();
    std::fs::remove_file(&record).unwrap();
    assert_eq!((again.checked, again.findings.len()), (report.verdict.checked, 0));

    let stumbling = Shop::open(&url, Manner::Stumbling);
    let report = rush(&[&stumbling, &honest], &url, &few).await;
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.outcomes["201"], report.outcomes["409 out_of_stock"]), (150, 250));
    assert!(report.turned_away["503 overloaded"] > 5 && report.lost > 5, "{report}");

    let lying = Shop::open(&url, Manner::Lying);
    let spread = ["--buyers", "300", "--skus", "7", "--ramp-seconds", "0"];
    let report = rush(&[&lying, &honest], &url, &spread).await;
    println!("{report}");
    assert_eq!((report.acknowledged, report.verdict.checked.skus), (300, 7));
    let lost = |wrong: &&oracle::Finding| wrong.wrong == "acknowledged, but not there";
    assert!(report.verdict.findings.iter().filter(lost).count() >= 5, "{report}");

    let measured = hammer(&honest.url, |_| Request::get("/livez"), 4, Until::Requests(500));
    let measured = measured.await.unwrap();
    assert_eq!((measured.statuses[&200], measured.failures), (500, 0));
    let time = Until::Elapsed(Duration::from_millis(100));
    let measured = hammer(&honest.url, |_| Request::get("/livez"), 4, time).await.unwrap();
    assert!(measured.per_second > 100.0 && measured.p50 <= measured.p99, "{measured:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_the_oracle_reads_what_the_api_exports() {
    let postgres = Postgres::start().await;
    let url = postgres.url("shop");
    let run = async |shop: &Shop, units: &str| {
        let mut arguments = vec!["loadtests", "rush", "--url", &shop.url, "--units", units];
        arguments.extend(["--admin-key", "sk_test", "--connections", "64"]);
        arguments.extend(["--buyers", "300", "--ramp-seconds", "0.2"]);
        let Command::Rush(options) = Command::parse_from(arguments) else { unreachable!() };
        let report = rush::rush(&options).await.unwrap();
        println!("{report}");
        report.verdict
    };
    let honest = Shop::open(&url, Manner::Honest);
    let verdict = run(&honest, "150").await;
    let checked = verdict.checked;
    assert!(verdict.is_clean() && verdict.unseen.is_some(), "{verdict}");
    assert_eq!((checked.acknowledged, checked.lines, checked.skus), (150, 150, 1));

    let lying = Shop::open(&url, Manner::Lying);
    let verdict = run(&lying, "300").await;
    let lost = |wrong: &&oracle::Finding| wrong.wrong == "acknowledged, but not there";
    assert!(verdict.findings.iter().filter(lost).count() >= 10, "{verdict}");

    // Units that nobody ordered are gone from its books.
    let steal = "UPDATE stock SET available = available - 1, sold = sold + 1
        WHERE supplied = 400 AND available > 0";
    let database = loadtests::stored::connect(&url).await.unwrap();
    let thief = tokio::spawn(async move {
        while database.execute(steal, &[]).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let verdict = run(&honest, "400").await;
    thief.await.unwrap();
    assert!(verdict.findings.iter().any(|found| found.wrong.contains("sold")), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_kills_an_instance_that_owes_answers() {
    let postgres = Postgres::start().await;
    let url = postgres.url("shop");
    let (first, second) = (Shop::open(&url, Manner::Honest), Shop::open(&url, Manner::Honest));
    let [first_url, second_url] = [&first, &second].map(|shop| shop.url.clone());
    // The first shop goes away, with all its connections, when this process does.
    let mut process = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = process.id().to_string();
    let death = std::thread::spawn(move || {
        process.wait().unwrap();
        drop(first);
    });
    let mut arguments = vec!["loadtests", "rush", "--url", &first_url, "--url", &second_url];
    arguments.extend(["--database", &url, "--admin-key", "sk_test", "--connections", "64"]);
    arguments.extend(["--buyers", "800", "--units", "700", "--ramp-seconds", "0.2"]);
    arguments.extend(["--kill-pid", &pid, "--kill-url", &first_url]);
    arguments.extend(["--kill-after-acknowledged", "50", "--kill-in-flight", "30"]);
    let Command::Rush(options) = Command::parse_from(arguments) else { unreachable!() };
    let report = rush::rush(&options).await.unwrap();
    death.join().unwrap();
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.outcomes["201"], report.outcomes["409 out_of_stock"]), (700, 100));
    let shot = report.killed.unwrap();
    assert!(shot.acknowledged >= 50 && shot.in_flight >= 30 && report.lost >= 30, "{shot:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sells_what_the_file_says() {
    let postgres = Postgres::start().await;
    let url = postgres.url("shop");
    let shop = Shop::open(&url, Manner::Honest);
    let catalog = "INSERT INTO products (id, slug, title, status)
            SELECT gen_random_uuid(), sku, sku, 'active' FROM unnest('{A,B,C}'::text[]) sku;
        INSERT INTO variants (id, product_id, sku, position)
            SELECT gen_random_uuid(), id, title, 1 FROM products;
        INSERT INTO prices SELECT id, 'GBP', 295 FROM variants;
        INSERT INTO stock (variant_id, location_id, supplied, available)
            SELECT v.id, l.id, 10, 10 FROM variants v, locations l";
    loadtests::stored::connect(&url).await.unwrap().batch_execute(catalog).await.unwrap();

    let folder = format!("/tmp/data-{:x}", rand::random::<u64>());
    std::fs::create_dir(&folder).unwrap();
    let file = std::fs::File::create(format!("{folder}/orders.csv.gz")).unwrap();
    let mut file = GzEncoder::new(file, Compression::fast());
    file.write_all(
        b"invoice,timestamp,customer_id,country,sku,quantity,unit_price_minor\n\
          1,2010-12-01T08:26:00,17850,EIRE,A,6,255\n\
          1,2010-12-01T08:26:00,17850,EIRE,B,80995,255\n\
          1,2010-12-01T08:26:00,17850,EIRE,A,6,255\n\
          2,2010-12-01T08:27:00,,United Kingdom,C,3,255\n",
    )
    .unwrap();
    file.finish().unwrap();
    let run = async || match command("replay", &[&shop], &url, &["--data", &folder]) {
        Command::Replay(options) => replay::replay(&options).await,
        Command::Rush(_) => unreachable!(),
    };
    let report = run().await.unwrap();
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.acknowledged, report.verdict.checked.lines), (2, 3));
    let second = run().await.unwrap_err();
    assert!(second.to_string().contains("earlier replay"), "{second}");
    std::fs::remove_dir_all(&folder).unwrap();
}
