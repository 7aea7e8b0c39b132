//! Carts under faults. All that workers sent and received is judged: one acknowledged version
//! follows from the other, and the last one is there.

use crate::harness::{ADMIN_KEY, Answer, App, Database, times};
use crate::proxy::{Fault, Proxy};
use clap::Parser;
use futures_util::future::join_all;
use loadtests::cart;
use loadtests::oracle::carts::CartRun;
use loadtests::record::{Outcome, Record};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// The scenario as it is called by hand.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: cart::Options,
}

/// The file with all that was sent to some carts and received. It stays if histories are kept, or
/// the test fails.
struct History(PathBuf);

impl Drop for History {
    fn drop(&mut self) {
        match crate::histories().is_some() || std::thread::panicking() {
            true => println!("what all sent and received: {:?}", self.0),
            // Fails if it was never written.
            false => drop(std::fs::remove_file(&self.0)),
        }
    }
}

impl History {
    fn records(&self) -> Vec<Record> {
        let file = std::fs::read_to_string(&self.0).unwrap();
        let carts = file.lines().map(|line| serde_json::from_str::<CartRun>(line).unwrap());
        carts.flat_map(|cart| cart.changes).map(|(_, record)| record).collect()
    }
}

/// Changes carts at these instances of one database as `words` say, and judges what they came to.
async fn change_carts(apps: &[&App], words: &[&str], dice: &mut StdRng) -> History {
    let (seed, database) = (dice.random::<u32>().to_string(), &apps[0].database.url);
    let folder = crate::histories().unwrap_or_else(std::env::temp_dir);
    let history = History(folder.join(format!("carts-{}.ndjson", uuid::Uuid::now_v7())));
    let all = ["--seed", &seed, "--database", database, "--admin-key", ADMIN_KEY];
    // Whoever has no answer has met the fault: nobody hangs up.
    let more = ["--hang-up", "0", "--skus", "4", "--record", history.0.to_str().unwrap()];
    let urls = apps.iter().flat_map(|app| ["--url", &*app.url]);
    let words = ["cart"].into_iter().chain(words.iter().copied()).chain(all).chain(more);
    let command = Command::try_parse_from(words.chain(urls)).unwrap();
    let report = cart::cart(&command.options).await.unwrap();
    println!("{:?}, {:?}, {:?}", report.outcomes, report.killed, report.verdict.judged);
    assert!(report.is_clean(), "{:#?}, {:?}", report.verdict.findings, report.limits_missed);
    assert!(report.acknowledged > 50, "hardly anything was changed");
    history
}

/// How many changes with a key have no final answer, and how many without one may have been made.
fn left_open(records: &[Record]) -> (usize, usize) {
    let unknown = records.iter().filter(|one| one.outcome() == Outcome::Unknown);
    let (keyed, bare): (Vec<_>, Vec<_>) = unknown.partition(|one| !one.key.is_empty());
    (keyed.len(), bare.iter().filter(|one| one.is_in_doubt()).count())
}

// Others go on while the thread waits that kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_killed_loses_no_acknowledged_change_of_a_cart() {
    let mut killed = App::start().await;
    let survivor = App::with(&killed.database, &[]).await;
    let mut dice = StdRng::seed_from_u64(crate::announced_seed());
    let crowd = ["--carts", "4", "--workers", "8", "--changes", "60"];
    let (pid, after) = (killed.pid().to_string(), dice.random_range(200..600).to_string());
    let kill = ["--kill-pid", &pid, "--kill-after-acknowledged", &after];
    let words = [&crowd[..], &kill].concat();
    let history = change_carts(&[&killed, &survivor], &words, &mut dice).await;
    killed.kill();
    let (keyed, bare) = left_open(&history.records());
    assert_eq!(keyed, 0, "a key gives the one true answer");
    assert!(bare > 0, "nothing without a key was in flight");
    survivor.database.assert_clean();
}

/// Changes carts until the fault has happened often enough. Each change must be there once, and
/// those without a key have nothing but the cart itself to tell that they were made already.
async fn change_carts_through(fault: Fault) {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let app = App::reaching(&proxy.url, &database, &[]).await;
    let mut dice = StdRng::seed_from_u64(crate::announced_seed());
    let faults = times("CARTS", 20);
    // What did not arrive would be kept from arriving until its time is over.
    proxy.arm(fault, faults, fault == Fault::DropCommit);
    let mut histories = Vec::new();
    while proxy.faults() < faults {
        // One of several whose batch was lost may be told of a later version, with the changes of
        // the others; so each has a cart of its own.
        let crowd = ["--carts", "8", "--workers", "1", "--changes", "25"];
        let history = change_carts(&[&app], &crowd, &mut dice).await;
        let left_open = left_open(&history.records());
        histories.push(history);
        assert_eq!(left_open, (0, 0), "somebody was not told what became of it");
    }
    database.assert_clean();
}

#[tokio::test]
async fn a_lost_answer_of_commit_adds_nothing_twice_to_a_cart() {
    change_carts_through(Fault::SwallowCommit).await;
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_made_again_for_a_cart() {
    change_carts_through(Fault::DropCommit).await;
}

#[tokio::test]
async fn several_additions_to_one_cart_in_a_lost_batch_are_each_made_once() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    // So that no other batch is made before a lost one is looked for.
    let settings = [("POSTGRES__CART_CONNECTIONS", "1")];
    let app = App::reaching(&proxy.url, &database, &settings).await;
    app.stocked("A", 100, 0).await;
    let token = app.session().await;
    let one = json!({"sku": "A", "quantity": 1});
    let (mut added, mut versions) = (0, BTreeSet::new());
    let faults = times("CARTS", 20);
    proxy.arm(Fault::SwallowCommit, faults, false);
    while proxy.faults() < faults {
        let at_once: Vec<Answer> = join_all((0..8).map(|_| app.add_to_cart(&token, &one))).await;
        for answer in at_once {
            // While the lane is cut off, nothing is begun.
            let said = String::from_utf8_lossy(&answer.bytes);
            if answer.status == 503 && !said.contains("It is not known") {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            versions.insert(answer.ok(200)["version"].as_i64().unwrap());
            added += 1;
        }
    }
    // Those of a lost batch are told of the cart as it is by then, with all of them.
    assert!(versions.len() < added, "no batch with several of them was lost");
    let cart = app.cart(&token).await;
    let found = (&cart["version"], &cart["items"][0]["quantity"]);
    assert_eq!(found, (&json!(added), &json!(added)));
    database.assert_clean();
}
