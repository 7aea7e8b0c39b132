//! The role that serves may do nothing but serve.

use crate::harness::{Answer, App, Database, order_of, paid_with, retention, until};
use reqwest::Method;
use serde_json::json;
use std::process::{Command, Output};

/// A role that can log in and nothing else, and its URL of the database.
async fn role(database: &Database, attributes: &str) -> (String, String) {
    let name = format!("Shop \"{}\"", uuid::Uuid::now_v7().simple());
    let quoted = name.replace('"', "\"\"");
    let sql = format!("CREATE ROLE \"{quoted}\" LOGIN PASSWORD 'serve' {attributes}");
    database.connect().await.batch_execute(&sql).await.unwrap();
    let (_, server) = database.tcp_url.rsplit_once('@').unwrap();
    let user = name.replace(' ', "%20").replace('"', "%22");
    (name, format!("postgres://{user}:serve@{server}"))
}

fn grant(database: &Database, role: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    command.args(["migrate", "--database", &database.url, "--grant-to", role]);
    command.output().unwrap()
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Everything that an instance does, on its own and when asked.
async fn journey(app: &App) {
    app.stocked("A", 100, 10).await;
    app.admin_post("/v1/admin/categories", &json!({"title": "Kitchen"})).await.ok(201);
    let products = app.admin_get("/v1/admin/products").await.ok(200);
    let path = format!("/v1/admin/products/{}", products["items"][0]["id"].as_str().unwrap());
    app.admin_patch(&path, &json!({"title": "Enamel mug"})).await.ok(200);
    app.until("/v1/products?q=enamel", |answer| answer.json()["items"][0]["slug"].is_string())
        .await;
    let account = json!({"email": "ada@example.com", "password": "difference engine"});
    Answer::of(app.request(Method::POST, "/v1/customers").json(&account)).await.ok(201);
    let guest = app.session().await;
    app.add_to_cart(&guest, &json!({"sku": "A", "quantity": 2})).await.ok(200);
    let login = app.request(Method::POST, "/v1/session/login").bearer_auth(&guest).json(&account);
    let session = Answer::of(login).await.ok(200);
    let token = session["token"].as_str().unwrap();
    assert_eq!(app.cart(token).await["items"][0]["quantity"], 2);
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    let unpaid = app.place(&paid_with("decline", &[("A", 3)])).await.ok(201);
    assert_eq!(app.level("A").await, [10, 6, 3, 1]);
    let old = "UPDATE idempotency_keys SET created_at = now() - interval '99 hours';
               UPDATE orders SET created_at = created_at - interval '99 hours'";
    app.database.connect().await.batch_execute(old).await.unwrap();
    // The reaper, and retention.
    app.database.until("SELECT count(*) FROM idempotency_keys", 0).await;
    until(async || match app.order(&unpaid).await {
        order if order["status"] == "expired" => Ok(()),
        order => Err(order),
    })
    .await;
    assert_eq!(app.level("A").await, [10, 9, 0, 1]);
    assert_eq!(app.admin_get("/v1/admin/exports/orders?format=csv").await.status, 200);
    let deleted = app.admin_delete(&path).await;
    assert!(deleted.status < 500, "{}", deleted.status);
}

#[tokio::test]
async fn an_instance_serves_with_a_role_that_may_only_change_rows() {
    let database = Database::new().await;
    let (name, url) = role(&database, "").await;
    let granted = grant(&database, &name);
    assert!(granted.status.success(), "{}", String::from_utf8_lossy(&granted.stderr));
    // A table is divided by its owner, and the role may do with it what it might before.
    let mut divide = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    let divided = divide.args(["partitions", "--database", &database.url]).output().unwrap();
    assert!(divided.status.success(), "{}", String::from_utf8_lossy(&divided.stderr));
    let settings = [
        ("POSTGRES__MIGRATE", "false"),
        ("ORDER__PAY_WITHIN_SECONDS", "2"),
        ("ORDER__EXPIRY_INTERVAL_MS", "50"),
        retention::QUICK,
    ];
    let app = App::reaching(&url, &database, &settings).await;
    journey(&app).await;
    let restricted = Database { url: url.clone(), tcp_url: url.clone() };
    restricted.assert_clean();
    let client = connect(&url).await;
    for forbidden in [
        "CREATE TABLE loot (id int)",
        "CREATE FUNCTION loot() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA loot",
        "CREATE ROLE loot",
        "CREATE EXTENSION hstore",
        "DROP TABLE orders",
        "ALTER TABLE orders ADD COLUMN loot int",
        "ALTER TABLE stock_ledger DISABLE TRIGGER ALL",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "TRUNCATE orders",
        "CREATE INDEX ON orders (created_at)",
        "UPDATE stock_ledger SET available = 0",
        "DELETE FROM stock_ledger",
        "DELETE FROM price_history",
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "UPDATE refinery_schema_history SET checksum = '1'",
        "UPDATE archived_stock SET sold = 0",
        "DELETE FROM stock_ledger_before",
        "SELECT setval('order_numbers', 1)",
        "SET session_replication_role = replica",
        "COPY orders TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
    ] {
        let error = client.batch_execute(forbidden).await.expect_err(forbidden);
        let code = error.code().unwrap_or_else(|| panic!("{forbidden}: {error}")).code();
        assert!(["42501", "42000"].contains(&code), "{forbidden}: {error:?}");
    }
    // What a later migration adds is there at once.
    let later = "CREATE TABLE later (id serial)";
    database.connect().await.batch_execute(later).await.unwrap();
    client.batch_execute("INSERT INTO later DEFAULT VALUES; DELETE FROM later").await.unwrap();
}

#[tokio::test]
async fn a_table_that_one_instance_may_not_clear_is_left_to_another_and_no_other_table_waits() {
    let database = Database::new().await;
    let (name, url) = role(&database, "").await;
    assert!(grant(&database, &name).status.success());
    let revoke = format!("REVOKE DELETE ON outbox FROM \"{}\"", name.replace('"', "\"\""));
    database.execute(&revoke).await;
    let unable = [("POSTGRES__MIGRATE", "false"), retention::QUICK];
    let unable = App::reaching(&url, &database, &unable).await;
    let mut able = App::with(&database, &[retention::QUICK]).await;
    retention::fill(&database, 1_000).await;
    database.until(retention::OLD_KEYS, 0).await;
    database.until(retention::OLD_EVENTS, 0).await;
    let failed = "doorbuster_retention_failures_total{table=\"outbox\"}";
    assert_eq!(unable.metric(failed).await, 1.0);
    able.kill();
    retention::fill(&database, 10_000).await;
    database.until(retention::OLD_KEYS, 0).await;
    assert_eq!(database.number(retention::OLD_EVENTS).await, 10_000);
}

#[tokio::test]
async fn a_role_that_may_do_more_is_not_taken_for_one_that_serves() {
    let database = Database::new().await;
    for (attributes, why) in [
        ("SUPERUSER", "superuser"),
        ("CREATEROLE", "makes roles"),
        ("IN ROLE doorbuster", "owns tables"),
        ("IN ROLE pg_execute_server_program", "pg_execute_server_program"),
        ("REPLICATION", "replicates"),
        ("BYPASSRLS", "row security"),
    ] {
        let (name, _) = role(&database, attributes).await;
        let refused = grant(&database, &name);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{attributes}: {said}");
    }
    let unknown = grant(&database, "nobody; DROP TABLE orders");
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("does not exist"));
    assert_eq!(database.number("SELECT count(*) FROM orders").await, 0);
}
