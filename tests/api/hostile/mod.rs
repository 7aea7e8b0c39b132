//! Requests that no client library would send, over raw sockets. `tests/api/data/hostile/` holds
//! them, by theme, each with the answer that is expected.

mod corpus;
mod wire;

use crate::harness::{ADMIN_KEY, App};
use corpus::{Case, Values};
use futures_util::StreamExt;

/// What is said of the one request at which the framework's parser panics, which ends that
/// connection and nothing else.
const GIVES_UP: &str = "the framework's parser gives up";

/// Sends all requests of a theme; fails with all answers that are not the expected ones.
async fn theme(name: &str, text: &str) {
    let app = App::watched(&[("LIMITS__ENABLED", "false"), ("LOG__FILTER", "warn")]).await;
    app.stocked("A", 100, 10).await;
    let values = Values { session: app.session().await, admin: ADMIN_KEY };
    let cases = corpus::read(text, &values);
    assert!(cases.len() >= 20, "hardly a request in {name}");
    let app = &app;
    let judged = futures_util::stream::iter(cases.iter().map(async |case| {
        let outcome = wire::send(app, case).await;
        let found = outcome.to_string();
        let wrong = outcome.faults(case);
        let line = case.line;
        match found == case.expected && wrong.is_empty() {
            true => None,
            false => Some(format!("{name}:{line}: {}\n    => {found} {wrong}", case.name)),
        }
    }));
    let wrong: Vec<String> = judged.buffer_unordered(16).filter_map(async |w| w).collect().await;
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    app.get("/livez").await.ok(200);
    let log = app.log();
    let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked")).collect();
    assert_eq!(panics.len(), text.matches(GIVES_UP).count(), "{log}");
    assert!(panics.iter().all(|line| line.contains("actix-http")), "{log}");
    assert!(!log.contains("internal error"), "{log}");
    let tables = ["orders", "idempotency_keys", "customers"];
    for table in tables {
        let rows = app.database.number(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(rows, 0, "{name} wrote into {table}");
    }
    let ledger = "SELECT count(*) FROM stock_adjustments";
    assert_eq!(app.database.number(ledger).await, 1, "a hidden request was carried out");
}

const SMUGGLING: &str = include_str!("../data/hostile/smuggling.txt");
const HEADS: &str = include_str!("../data/hostile/heads.txt");
const TARGETS: &str = include_str!("../data/hostile/targets.txt");
const BODIES: &str = include_str!("../data/hostile/bodies.txt");
const CREDENTIALS: &str = include_str!("../data/hostile/credentials.txt");

#[test]
fn the_corpus_has_more_than_150_different_requests() {
    let values = Values { session: "dbs_".to_owned(), admin: ADMIN_KEY };
    let themes = [SMUGGLING, HEADS, TARGETS, BODIES, CREDENTIALS];
    let cases: Vec<Case> =
        themes.into_iter().flat_map(|text| corpus::read(text, &values)).collect();
    let different: std::collections::HashSet<&[u8]> =
        cases.iter().map(|case| &*case.bytes).collect();
    assert_eq!(different.len(), cases.len(), "a request stands there twice");
    assert!(different.len() > 150, "{}", different.len());
}

#[tokio::test]
async fn a_request_hidden_in_another_one_is_never_carried_out() {
    theme("smuggling.txt", SMUGGLING).await;
    // Alone the hidden request would have an effect, so the absence of one says something.
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let values = Values { session: String::new(), admin: ADMIN_KEY };
    let alone = "### It\n=> 201\n{{smuggled}}\n";
    let outcome = wire::send(&app, &corpus::read(alone, &values)[0]).await;
    assert_eq!(outcome.to_string(), "201");
    assert_eq!(app.level("A").await[0], 11);
}

#[tokio::test]
async fn heads_that_are_no_http_or_too_much_are_refused() {
    theme("heads.txt", HEADS).await;
}

#[tokio::test]
async fn targets_that_point_elsewhere_lead_nowhere() {
    theme("targets.txt", TARGETS).await;
}

#[tokio::test]
async fn bodies_that_are_no_orders_place_none() {
    theme("bodies.txt", BODIES).await;
}

#[tokio::test]
async fn credentials_that_prove_nothing_open_nothing() {
    theme("credentials.txt", CREDENTIALS).await;
}
