//! Scenario files against a small shop, and the instances that a run starts for itself.
#![expect(clippy::unwrap_used, reason = "tests")]

mod postgres;
mod shop;

use clap::Parser;
use loadtests::fleet::Fleet;
use loadtests::record;
use loadtests::report::Report;
use loadtests::run;
use postgres::Postgres;
use shop::{Manner, Shop};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: run::Options,
}

/// Three hundred want one of a hundred and fifty, within less than a second.
const SALE: &str = "
    about = 'a sale'
    kind = 'buy'
    arrivals = [
        { shape = 'poisson', rate = 500, seconds = 0.4 },
        { shape = 'constant', rate = 300, seconds = 0.4 },
    ]
    goods = { fresh = 1, units = 150 }
    clients = { connections = 32, new_connections = 0.2 }
";

struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("run-{:x}", rand::random::<u64>()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

async fn run(file: &str, shop: &Shop, database: &str, more: &[&str]) -> Report {
    let mut arguments = vec!["run", file, "--url", &shop.url, "--database", database];
    arguments.extend(["--admin-key", "sk_test"]);
    arguments.extend(more);
    let report = run::run(&Command::parse_from(arguments).options).await.unwrap();
    println!("{report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_finds_an_honest_shop_honest_and_a_liar_out() {
    let postgres = Postgres::start().await;
    let url = postgres.url("shop");
    let (sale, kept) = (File::new(SALE), File::new(""));

    let honest = Shop::open(&url, Manner::Honest);
    let report = run(sale.path(), &honest, &url, &["--record", kept.path()]).await;
    assert!(report.verdict.is_clean(), "{}", report);
    // The tests' database is fast and not durable, which a run must not let pass.
    let missed = &report.limits_missed;
    assert!(missed.len() == 1 && missed[0].contains("fsync"), "{}", report);
    let checked = report.verdict.checked;
    assert_eq!((checked.acknowledged, checked.replays, checked.skus), (150, 150, 1));
    assert_eq!(report.outcomes["201"], 150);
    assert_eq!(report.sorts["orders"].count, 150 + checked.refused);
    let again = record::Run::load(&kept.0).unwrap();
    assert_eq!(again.records.len() as u64, report.sorts["orders"].count);
    let again = loadtests::oracle::examine(&again, &url).await.unwrap();
    assert_eq!((again.checked, again.findings.len()), (checked, 0));

    let limit = ["--set", "thresholds.p99_ms_max=0.001"];
    let report = run(sale.path(), &honest, &url, &limit).await;
    assert!(!report.is_clean() && report.verdict.is_clean(), "{report}");
    assert!(report.limits_missed.iter().any(|m| m.contains("0.001 ms at most")), "{report}");

    let lying = Shop::open(&url, Manner::Lying);
    let report = run(sale.path(), &lying, &url, &[]).await;
    let lost = "acknowledged, but not there";
    assert!(report.verdict.findings.iter().any(|found| found.wrong == lost), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stairs_end_with_the_first_step_over_the_knee() {
    let postgres = Postgres::start().await;
    let url = postgres.url("shop");
    // One order after the other: it has a knee, wherever it is.
    let shop = Shop::open(&url, Manner::Honest);
    let stairs = File::new(
        "about = 'how many?'
        kind = 'stairs'
        goods = { fresh = 5 }
        [stairs]
        from = 20
        step = 4000
        to = 40000
        seconds = 1
        p99_ms_max = 2000
        below = [{ of_knee = 0.5 }]",
    );
    let report = run(stairs.path(), &shop, &url, &["--set", "clients.ask_again=0"]).await;
    assert!(report.verdict.is_clean(), "{}", report);
    let climb = report.stairs.unwrap();
    let over: Vec<bool> = climb.steps.iter().map(|step| step.over.is_some()).collect();
    assert!((2..10).contains(&over.len()) && climb.found_it(), "{over:?}");
    assert!(!over[..over.len() - 1].contains(&true) && climb.knee.is_some(), "{over:?}");
    let (share, below) = &climb.below[0];
    let half = climb.knee.unwrap() * share;
    assert!(below.offered > half * 0.5 && below.offered < half * 2.0, "{below:?}");
}

/// A program that behaves as doorbuster does when it is started, and writes down what it is told.
fn program(serve: &str, log: &Path) -> File {
    let log = log.display();
    let text = File::new(&format!(
        "#!/bin/sh
        case $1 in
        services)
            echo \"folder $3\" >> {log}
            echo '{{\"postgres_url\":\"host=here\",\"redis_url\":null}}'
            cat > /dev/null
            echo services ended >> {log} ;;
        import) echo \"import $2\" >> {log} ;;
        migrate) echo \"migrate $DOORBUSTER__POSTGRES__URL\" >> {log} ;;
        serve)
            trap 'echo serve ended >> {log}; exit' TERM
            echo '{serve}'
            while :; do sleep 0.05; done ;;
        verify)
            echo 'I1 violated'
            exit 1 ;;
        esac"
    ));
    // Copied by another process: one that another test starts while we write would hold our file
    // open, and nobody may run what is open for writing.
    let program = File::new("");
    let copy =
        process::Command::new("install").args(["-m", "755"]).args([&text.0, &program.0]).status();
    assert!(copy.unwrap().success());
    program
}

#[test]
fn own_instances_are_started_and_stopped_in_order() {
    let log = File::new("");
    let good = program("doorbuster: serving http://127.0.0.1:1", &log.0);
    let fleet = Fleet::start(2, Some(&good.0), None).unwrap();
    assert_eq!((fleet.urls.len(), fleet.database.as_str()), (2, "host=here"));
    assert!(fleet.admin_key.starts_with("sk_") && fleet.admin_key.len() > 40);
    assert_eq!(fleet.verify().unwrap(), ["I1 violated"]);
    let read = || fs::read_to_string(&log.0).unwrap();
    let folder = read().lines().next().unwrap().strip_prefix("folder ").unwrap().to_owned();
    let folder = Path::new(&folder).parent().unwrap().to_owned();
    assert!(folder.is_dir());
    drop(fleet);
    let lines: Vec<String> = read().lines().skip(1).map(str::to_owned).collect();
    assert_eq!(
        lines,
        ["migrate host=here", "import demo", "serve ended", "serve ended", "services ended"]
    );
    assert!(!folder.exists());
}

#[test]
fn nothing_is_left_of_instances_that_did_not_start() {
    let log = File::new("");
    let bad = program("sorry", &log.0);
    let error = format!("{:#}", Fleet::start(1, Some(&bad.0), None).unwrap_err());
    assert!(error.contains("serve said \"sorry\""), "{error}");
    let lines = fs::read_to_string(&log.0).unwrap();
    assert!(lines.ends_with("serve ended\nservices ended\n"), "{lines}");
    let missing = Fleet::start(1, Some(Path::new("/no/such/doorbuster")), None).unwrap_err();
    assert!(missing.to_string().contains("--binary names it"), "{missing}");
}
