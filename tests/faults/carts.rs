//! Carts under faults. All that workers sent and received is judged: one acknowledged version
//! follows from the other, and the last one is there.

use crate::harness::{ADMIN_KEY, Answer, App, Database, times};
use crate::proxy::{Fault, Proxy};
use clap::Parser;
use futures_util::future::join_all;
use loadtests::cart;
use loadtests::record::{Outcome, Record, Run};
use loadtests::report::Report;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::collections::BTreeSet;

/// The scenario as it is called by hand.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: cart::Options,
}

/// What came of it.
struct Changed {
    report: Report,
    records: Vec<Record>,
}

/// Changes carts at these instances of one database, and judges what they came to. What was sent
/// and received is kept where something is wrong, too.
async fn change(apps: &[&App], words: &[&str], dice: &mut StdRng) -> Changed {
    let (seed, database) = (dice.random::<u32>().to_string(), &apps[0].database.url);
    let kept = crate::histories();
    let folder = kept.clone().unwrap_or_else(std::env::temp_dir);
    let file = folder.join(format!("carts-{}.ndjson", uuid::Uuid::now_v7()));
    println!("what all sent and received: {file:?}");
    let all = ["--seed", &seed, "--database", database, "--admin-key", ADMIN_KEY];
    // Whoever has no answer has met the fault: nobody hangs up.
    let more = ["--hang-up", "0", "--skus", "4", "--record", file.to_str().unwrap()];
    let urls = apps.iter().flat_map(|app| ["--url", &*app.url]);
    let words = ["cart"].into_iter().chain(words.iter().copied()).chain(all).chain(more);
    let command = Command::try_parse_from(words.chain(urls)).unwrap();
    let report = cart::cart(&command.options).await.unwrap();
    println!("{:?}, {:?}", report.outcomes, report.verdict.judged);
    assert!(report.is_clean(), "{:#?}, {:?}", report.verdict.findings, report.limits_missed);
    assert!(report.acknowledged > 50, "hardly anything was changed");
    let Run { records, .. } = Run::load(&file).unwrap();
    if kept.is_none() {
        std::fs::remove_file(file).unwrap();
    }
    Changed { report, records }
}

impl Changed {
    /// How many changes nobody knows the outcome of, with a key and without.
    fn in_doubt(&self) -> (usize, usize) {
        let unknown = self.records.iter().filter(|one| one.outcome() == Outcome::Unknown);
        let in_doubt = unknown.filter(|one| one.is_in_doubt() || !one.key.is_empty());
        let (keyed, bare): (Vec<_>, Vec<_>) = in_doubt.partition(|one| !one.key.is_empty());
        (keyed.len(), bare.len())
    }
}

#[tokio::test]
async fn an_instance_that_is_killed_loses_no_acknowledged_change_of_a_cart() {
    let mut killed = App::start().await;
    let survivor = App::with(&killed.database, &[]).await;
    let mut dice = StdRng::seed_from_u64(crate::told_seed());
    let crowd = ["--carts", "4", "--workers", "8", "--changes", "60"];
    let (pid, after) = (killed.pid().to_string(), dice.random_range(200..600).to_string());
    let kill = ["--kill-pid", &pid, "--kill-after-acknowledged", &after];
    let words = [&crowd[..], &kill].concat();
    let changed = change(&[&killed, &survivor], &words, &mut dice).await;
    killed.kill();
    println!("{:?}", changed.report.killed.unwrap());
    let (keyed, bare) = changed.in_doubt();
    assert_eq!(keyed, 0, "a key gives the one true answer");
    assert!(bare > 0, "nothing without a key was in flight");
    survivor.database.assert_clean();
}

/// Changes carts until the fault has happened often enough. Each change must be there once, and
/// those without a key have nothing but the cart itself to tell that they were made already.
async fn change_through(fault: Fault) -> Proxy {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let app = App::reaching(&proxy.url, &database, &[]).await;
    let mut dice = StdRng::seed_from_u64(crate::told_seed());
    let faults = times("CARTS", 20);
    // What did not arrive would be kept from arriving until its time is over.
    proxy.arm(fault, faults, fault == Fault::DropCommit);
    while proxy.faults() < faults {
        // One of several whose batch was lost may be told of a later version, with the changes of
        // the others; so each has a cart of its own.
        let crowd = ["--carts", "8", "--workers", "1", "--changes", "25"];
        let changed = change(&[&app], &crowd, &mut dice).await;
        assert_eq!(changed.in_doubt(), (0, 0), "somebody was not told what became of it");
    }
    database.assert_clean();
    assert_eq!(proxy.faults(), faults);
    proxy
}

#[tokio::test]
async fn a_lost_answer_of_commit_adds_nothing_twice_to_a_cart() {
    let proxy = change_through(Fault::SwallowCommit).await;
    assert_eq!(proxy.committed(), proxy.faults());
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_made_again_for_a_cart() {
    let proxy = change_through(Fault::DropCommit).await;
    assert_eq!(proxy.committed(), 0);
}

#[tokio::test]
async fn several_additions_to_one_cart_in_a_lost_batch_are_each_made_once() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database);
    let app = App::reaching(&proxy.url, &database, &[]).await;
    app.stocked("A", 100, 0).await;
    let token = app.session().await;
    let one = json!({"sku": "A", "quantity": 1});
    let (mut added, mut versions) = (0, BTreeSet::new());
    let faults = times("CARTS", 20);
    proxy.arm(Fault::SwallowCommit, faults, false);
    while proxy.faults() < faults {
        let at_once: Vec<Answer> = join_all((0..8).map(|_| app.add_to_cart(&token, &one))).await;
        for answer in at_once {
            // While all lanes are cut off at once, nothing is begun.
            let said = String::from_utf8_lossy(&answer.bytes);
            if !said.contains("The storage is not available; try again.") {
                versions.insert(answer.ok(200)["version"].as_i64().unwrap());
                added += 1;
            }
        }
    }
    // Those of one lost batch are told of the last version that it made.
    assert!(versions.len() < added, "no batch with several of them was lost");
    let cart = app.cart(&token).await;
    let found = (&cart["version"], &cart["items"][0]["quantity"]);
    assert_eq!(found, (&json!(added), &json!(added)));
    database.assert_clean();
}
