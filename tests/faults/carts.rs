//! Carts under faults. Workers change the same carts at once; all that they sent and received is
//! judged: one acknowledged version follows from the other, and the last one is there.

use crate::harness::{ADMIN_KEY, Answer, App, Database};
use crate::proxy::{Fault, Proxy};
use clap::Parser;
use futures_util::future::join_all;
use loadtests::cart;
use loadtests::report::Report;
use serde_json::json;

/// The scenario as it is called by hand.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: cart::Options,
}

/// Changes carts at these instances of one database, and judges what they came to.
async fn change(apps: &[&App], words: &[&str]) -> Report {
    let (seed, database) = (crate::seed().to_string(), apps[0].database.clone());
    let access = ["--seed", &seed, "--database", &database.url, "--admin-key", ADMIN_KEY];
    let urls = apps.iter().flat_map(|app| ["--url", &*app.url]);
    // Whoever has no answer has met the fault: nobody hangs up.
    let words =
        ["cart", "--hang-up", "0", "--skus", "4"].into_iter().chain(words.iter().copied());
    let command = Command::parse_from(words.chain(access).chain(urls));
    let report = cart::cart(&command.options).await.unwrap();
    println!("{:?}, {:?}", report.outcomes, report.verdict.judged);
    assert!(report.is_clean(), "{:#?}, {:?}", report.verdict.findings, report.limits_missed);
    assert!(report.acknowledged > 100, "hardly anything was changed");
    report
}

/// How many changes nobody knows the outcome of.
fn in_doubt(report: &Report) -> u64 {
    report.verdict.judged["unanswered"]
}

#[tokio::test]
async fn an_instance_that_is_killed_loses_no_acknowledged_change_of_a_cart() {
    let mut killed = App::start().await;
    let survivor = App::with(&killed.database, &[]).await;
    let crowd = ["--carts", "4", "--workers", "8", "--changes", "80"];
    let pid = killed.pid().to_string();
    let kill = ["--kill-pid", &pid, "--kill-after-acknowledged", "400"];
    let report = change(&[&killed, &survivor], &[&crowd[..], &kill].concat()).await;
    killed.kill();
    let shot = report.killed.unwrap();
    println!("{shot:?}");
    assert!(report.lost >= shot.in_flight as u64, "{} had no answer", report.lost);
    assert!(in_doubt(&report) > 0, "nothing without a key was in flight");
    survivor.database.assert_clean();
}

/// How often a fault happens.
const FAULTS: usize = 20;

/// Changes carts until the fault has happened often enough. Each change must be there once, and
/// those without a key have nothing but the cart itself to tell that they were made already.
async fn change_through(fault: Fault) -> Proxy {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let app = App::reaching(&proxy.url, &database, &[]).await;
    proxy.arm(fault, FAULTS, false);
    while proxy.faults() < FAULTS {
        // One of several whose batch was lost may be told of a later version, with the changes of
        // the others; so each has a cart of its own.
        let report =
            change(&[&app], &["--carts", "8", "--workers", "1", "--changes", "25"]).await;
        assert_eq!(in_doubt(&report), 0, "somebody was not told what became of it");
    }
    database.assert_clean();
    proxy
}

#[tokio::test]
async fn a_lost_answer_of_commit_adds_nothing_twice_to_a_cart() {
    let proxy = change_through(Fault::SwallowCommit).await;
    assert_eq!((proxy.faults(), proxy.committed()), (FAULTS, FAULTS));
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_made_again_for_a_cart() {
    let proxy = change_through(Fault::DropCommit).await;
    assert_eq!((proxy.faults(), proxy.committed()), (FAULTS, 0));
}

#[tokio::test]
async fn several_additions_to_one_cart_in_a_lost_batch_are_each_made_once() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let app = App::reaching(&proxy.url, &database, &[]).await;
    app.stocked("A", 100, 0).await;
    let token = app.session().await;
    let one = json!({"sku": "A", "quantity": 1});
    let mut expected = 0;
    proxy.arm(Fault::SwallowCommit, FAULTS, false);
    while proxy.faults() < FAULTS {
        let at_once: Vec<Answer> = join_all((0..8).map(|_| app.add_to_cart(&token, &one))).await;
        for answer in at_once {
            // While all lanes are cut off at once, nothing is begun.
            let said = String::from_utf8_lossy(&answer.bytes);
            if !said.contains("The storage is not available; try again.") {
                answer.ok(200);
                expected += 1;
            }
        }
    }
    let cart = app.cart(&token).await;
    let found = (&cart["version"], &cart["items"][0]["quantity"]);
    assert_eq!(found, (&json!(expected), &json!(expected)));
    database.assert_clean();
}
