//! Carts under faults. All that workers sent and received is judged: one acknowledged version
//! follows from the other, and the last one is there.

use crate::harness::{ADMIN_KEY, Answer, App, Database, times};
use crate::proxy::{Fault, Proxy};
use clap::Parser;
use futures_util::future::join_all;
use loadtests::cart::{self, Changed};
use loadtests::record::Outcome;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The scenario as it is called by hand.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: cart::Options,
}

/// What was sent to some carts and received.
struct History(Changed);

impl Drop for History {
    /// Where something is wrong, it can be looked into.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = crate::histories()
        {
            self.save(&folder).unwrap_or_else(|error| println!("{error:#}"));
        }
    }
}

impl History {
    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let history = folder.join(format!("{}.ndjson", self.0.name));
        self.0.save(&history)?;
        println!("what all sent and received: {history:?}");
        Ok(())
    }

    /// How many changes with a key have no final answer, and how many without one may have been
    /// made.
    fn left_open(&self) -> (usize, usize) {
        let unknown = self.0.records().filter(|one| one.outcome() == Outcome::Unknown);
        let (keyed, bare): (Vec<_>, Vec<_>) = unknown.partition(|one| !one.key.is_empty());
        (keyed.len(), bare.iter().filter(|one| one.is_in_doubt()).count())
    }
}

/// Changes carts at these instances of one database as `words` say, and judges what they came to.
async fn change_carts(apps: &[&App], words: &[&str], dice: &mut StdRng) -> History {
    let seed = dice.random::<u32>().to_string();
    // Whoever has no answer has met the fault: nobody hangs up.
    let all = ["--seed", &seed, "--admin-key", ADMIN_KEY, "--hang-up", "0", "--skus", "4"];
    let urls = apps.iter().flat_map(|app| ["--url", &*app.url]);
    let words = ["cart"].into_iter().chain(words.iter().copied()).chain(all).chain(urls);
    let command = Command::try_parse_from(words).unwrap();
    let history = History(cart::change(&command.options).await.unwrap());
    if let Some(folder) = crate::histories() {
        history.save(&folder).unwrap();
    }
    let report = history.0.judge(Some(&apps[0].database.url)).await.unwrap();
    println!("{:?}, {:?}, {:?}", report.outcomes, report.killed, report.verdict.judged);
    assert!(report.is_clean(), "{:#?}, {:?}", report.verdict.findings, report.limits_missed);
    assert!(report.acknowledged > 50, "hardly anything was changed");
    history
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
    let (keyed, bare) = history.left_open();
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
    // A batch that is made again after its COMMIT was dropped shall not be dropped at once again:
    // that would go on until its time is over.
    proxy.arm(fault, faults, fault == Fault::DropCommit);
    let mut histories = Vec::new();
    while proxy.faults() < faults {
        // One of several whose batch was lost may be told of a later version, with the changes of
        // the others; so each has a cart of its own.
        let crowd = ["--carts", "8", "--workers", "1", "--changes", "25"];
        let history = change_carts(&[&app], &crowd, &mut dice).await;
        assert_eq!(history.left_open(), (0, 0), "somebody was not told what became of it");
        histories.push(history);
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
