//! The commands: what operators type, and one clear sentence when it cannot be.

use crate::harness::{App, Database, order_of};
use std::process::{Command, Output};
use tokio::task::spawn_blocking;

fn doorbuster(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    let inherited = std::env::vars().filter(|(key, _)| key.starts_with("DOORBUSTER__"));
    inherited.for_each(|(key, _)| {
        command.env_remove(key);
    });
    command.args(arguments).output().unwrap()
}

#[track_caller]
fn refused(output: &Output, expected: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(expected), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[tokio::test]
async fn a_broken_configuration_is_refused_in_one_sentence() {
    refused(&doorbuster(&["serve"]), "postgres.url");
    refused(&doorbuster(&["--set", "server.bnd=x", "serve"]), "server.bind");
    refused(&doorbuster(&["--set", "order.tax_rate=20", "config", "print"]), "0.2");
    refused(&doorbuster(&["--env", "production", "config", "print"]), "admin.secret_key");
    refused(&doorbuster(&["--config", "/nonexistent.toml", "config", "print"]), "nonexistent");
    let printed = doorbuster(&["config", "print"]);
    let text = String::from_utf8_lossy(&printed.stdout);
    assert!(text.contains("order.pay_within_seconds = 900"), "{text}");
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_said_so() {
    let url = "postgres://nobody@127.0.0.1:1/none";
    refused(&doorbuster(&["--set", &format!("postgres.url={url}"), "serve"]), "reached");
    refused(&doorbuster(&["migrate", "--database", url]), "reached");
    let verify = doorbuster(&["verify", "--database", url]);
    assert_eq!(verify.status.code(), Some(2));
}

#[tokio::test]
async fn a_binary_runs_on_a_newer_schema_until_that_needs_a_newer_binary() {
    let database = Database::new().await;
    let newer = "INSERT INTO refinery_schema_history VALUES (999, 'later', '', '')";
    database.execute(newer).await;
    let url = &database.url;
    assert!(doorbuster(&["migrate", "--database", url]).status.success());
    for migrates in ["true", "false"] {
        let app = App::with(&database, &[("POSTGRES__MIGRATE", migrates)]).await;
        app.stocked(migrates, 100, 1).await;
        app.place(&order_of(&[(migrates, 1)])).await.ok(201);
    }
    database.execute("UPDATE oldest_binary SET migration = 999").await;
    refused(&App::command(url).output().unwrap(), "too new");
    let mut only_checks = App::command(url);
    only_checks.env("DOORBUSTER__POSTGRES__MIGRATE", "false");
    refused(&only_checks.output().unwrap(), "too new");
    refused(&doorbuster(&["migrate", "--database", url]), "too new");
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let database = Database::new().await;
    let changed = "UPDATE refinery_schema_history SET checksum = '1'";
    database.connect().await.batch_execute(changed).await.unwrap();
    refused(&App::command(&database.url).output().unwrap(), "migration");
}

#[tokio::test]
async fn two_instances_may_start_on_an_empty_database_together() {
    let database = Database::new().await;
    database
        .connect()
        .await
        .batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        .await
        .unwrap();
    let (one, two) = tokio::join!(
        spawn_blocking({
            let url = database.url.clone();
            move || doorbuster(&["migrate", "--database", &url])
        }),
        spawn_blocking({
            let url = database.url.clone();
            move || doorbuster(&["migrate", "--database", &url])
        }),
    );
    assert!(one.unwrap().status.success() && two.unwrap().status.success());
    let app = App::with(&database, &[]).await;
    app.stocked("A", 100, 1).await;
}

#[tokio::test]
async fn a_migration_that_meets_a_lock_lets_go_and_is_tried_again() {
    let database = Database::new().await;
    // As in an empty database, when somebody has looked at it before.
    let history = "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY,
        name varchar(255), applied_on varchar(255), checksum varchar(255))";
    database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    database.execute(history).await;
    let somebody = database.connect().await;
    let lock = "BEGIN; LOCK TABLE refinery_schema_history IN SHARE MODE";
    somebody.batch_execute(lock).await.unwrap();
    let url = database.url.clone();
    let migrating = spawn_blocking(move || doorbuster(&["migrate", "--database", &url]));
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    database.until_at_least(waits, 1).await;
    // Whoever else wants the table is not behind it for long.
    database.until(waits, 0).await;
    somebody.batch_execute("COMMIT").await.unwrap();
    assert!(migrating.await.unwrap().status.success());
    App::with(&database, &[]).await.stocked("A", 100, 1).await;
}

#[tokio::test]
async fn verify_names_what_is_violated() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    for _ in 0..3 {
        app.place(&order_of(&[("A", 1)])).await.ok(201);
    }
    app.database.assert_clean();
    let client = app.database.connect().await;
    for (damage, expected) in [
        (
            "UPDATE order_lines SET quantity = 2, total = 200 WHERE order_id = $1",
            vec!["I3", "I4"],
        ),
        ("DELETE FROM orders WHERE id = $1", vec!["I3", "I4", "I5"]),
        ("DELETE FROM idempotency_keys WHERE resource_id = $1", vec!["I5"]),
        ("DELETE FROM outbox WHERE aggregate_id = $1", vec!["I8"]),
        ("UPDATE orders SET status = 'paid' WHERE id = $1", vec!["I6"]),
    ] {
        let id: uuid::Uuid =
            client.query_one("SELECT id FROM orders LIMIT 1", &[]).await.unwrap().get(0);
        client.batch_execute("BEGIN").await.unwrap();
        client.execute(damage, &[&id]).await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
        let (code, report) = app.database.verify();
        assert_eq!((code, &report["ok"]), (1, &false.into()));
        for id in expected {
            let checks = report["checks"].as_array().unwrap();
            let check = checks.iter().find(|check| check["id"] == id).unwrap();
            assert!(check["violations"].as_i64().unwrap() > 0, "{damage}: {report:#}");
        }
    }
}
