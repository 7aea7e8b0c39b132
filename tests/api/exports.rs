use crate::harness::{ADMIN_KEY, Answer, App, order_of, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// The rows of a CSV export, header first.
async fn table(app: &App, name: &str, query: &str) -> Vec<Vec<String>> {
    let answer = app.admin_get(&format!("/v1/admin/exports/{name}{query}")).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    assert!(answer.header("content-type").unwrap().starts_with("text/csv"));
    let disposition = format!("attachment; filename=\"{name}.csv\"");
    assert_eq!(answer.header("content-disposition"), Some(&*disposition));
    assert!(answer.bytes.ends_with(b"\r\n"));
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(&*answer.bytes);
    reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// The objects of an NDJSON export.
async fn ndjson(app: &App, name: &str, query: &str) -> Vec<Value> {
    let answer = app.admin_get(&format!("/v1/admin/exports/{name}?format=ndjson{query}")).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(answer.bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Orders of somebody with a long name: about 500 bytes each.
async fn fill(app: &App, orders: u32) {
    let sql = format!(
        "INSERT INTO orders (id, number, status, payment_status, currency, subtotal, discount,
             shipping, tax, total, email, shipping_address, created_at)
         SELECT gen_random_uuid(), n, 'cancelled', 'pending', 'GBP', 1, 0, 0, 0, 1,
             'x@example.com', jsonb_build_object('name', repeat('x', 300)), now()
         FROM generate_series(1, {orders}) n"
    );
    app.database.connect().await.batch_execute(&sql).await.unwrap();
}

async fn begun(app: &App) -> reqwest::Response {
    let path = "/v1/admin/exports/orders?format=ndjson";
    app.request(Method::GET, path).bearer_auth(ADMIN_KEY).send().await.unwrap()
}

async fn exported(app: &App) -> u64 {
    app.metric("doorbuster_exported_rows_total").await as u64
}

#[tokio::test]
async fn every_export_shows_what_the_database_holds_in_both_formats() {
    let app = App::start().await;
    let product = json!({"title": "=HYPERLINK(\"http://evil\")", "tags": ["a", "b"],
        "description": "Two\nlines, \"quoted\"",
        "variants": [{"sku": "MUG-1", "prices": [{"amount": 1299, "currency": "GBP"},
            {"amount": 1499, "currency": "EUR"}]}]});
    app.admin_post("/v1/admin/products", &product).await.ok(201);
    app.adjust("MUG-1", 10).await.ok(201);
    let mut order = order_of(&[("MUG-1", 2)]);
    order["email"] = json!("-2+3@example.com");
    order["shipping_address"]["phone"] = json!("+441632960000");
    order["shipping_address"]["line2"] = json!("@home");
    let order = app.place(&order).await.ok(201);
    for (name, count) in [
        ("orders", 1),
        ("order-lines", 1),
        ("products", 2),
        ("stock-levels", 1),
        ("stock-ledger", 2),
    ] {
        let (rows, objects) = (table(&app, name, "").await, ndjson(&app, name, "").await);
        assert_eq!((rows.len() - 1, objects.len()), (count, count), "{name}");
        for (row, object) in rows[1..].iter().zip(&objects) {
            let object = object.as_object().unwrap();
            assert_eq!(row.len(), object.len(), "{name}");
            for (column, cell) in rows[0].iter().zip(row) {
                let expected = match &object[column] {
                    Value::Null => String::new(),
                    Value::String(text) if text.starts_with(['=', '-', '@']) => {
                        format!("'{text}")
                    }
                    Value::String(text) => text.clone(),
                    number => number.to_string(),
                };
                assert_eq!(*cell, expected, "{name} {column}");
            }
        }
    }
    let orders = ndjson(&app, "orders", "").await;
    for field in ["id", "number", "status", "payment_status", "email", "created_at"] {
        assert_eq!(orders[0][field], order[field], "{field}");
    }
    assert_eq!((&orders[0]["total"], &orders[0]["currency"]), (&json!(2598), &json!("GBP")));
    assert_eq!(orders[0]["phone"], "+441632960000");
    let lines = ndjson(&app, "order-lines", "").await;
    assert_eq!((&lines[0]["order_id"], &lines[0]["quantity"]), (&order["id"], &json!(2)));
    let ledger = ndjson(&app, "stock-ledger", "").await;
    assert_eq!((&ledger[1]["reference"], &ledger[1]["available"]), (&order["id"], &json!(-2)));
    let products = table(&app, "products", "").await;
    assert_eq!(products[1][3], "'=HYPERLINK(\"http://evil\")");
    assert_eq!(products[1][6], "Two\nlines, \"quoted\"");
    assert_eq!(table(&app, "orders", "").await[1][11], "'-2+3@example.com");
}

#[tokio::test]
async fn an_export_of_nothing_still_has_its_header() {
    let app = App::start().await;
    assert_eq!(table(&app, "orders", "").await.len(), 1);
    assert_eq!(ndjson(&app, "orders", "").await.len(), 0);
}

#[tokio::test]
async fn an_export_holds_every_row_once_and_only_those_of_its_period() {
    let app = App::start().await;
    fill(&app, 12_345).await;
    let rows = ndjson(&app, "orders", "").await;
    let ids: std::collections::HashSet<&str> =
        rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), ids.len()), (12_345, 12_345));
    app.stocked("A", 100, 10).await;
    let first = app.place(&order_of(&[("A", 1)])).await.ok(201);
    let second = app.place(&order_of(&[("A", 1)])).await.ok(201);
    let time = |order: &Value| order["created_at"].as_str().unwrap().to_owned();
    let period = format!("&created_from={}&created_to={}", time(&first), time(&second));
    for (name, field) in
        [("orders", "id"), ("order-lines", "order_id"), ("stock-ledger", "reference")]
    {
        let rows = ndjson(&app, name, &period).await;
        let found: Vec<&Value> = rows.iter().map(|row| &row[field]).collect();
        assert_eq!(found, [&first["id"]], "{name}");
    }
}

#[tokio::test]
async fn wrong_parameters_of_an_export_are_named() {
    let app = App::start().await;
    for (query, pointer) in [
        ("orders?format=xml", "format"),
        ("orders?format=csv&format=csv", "format"),
        ("orders?created_from=now", "created_from"),
        ("orders?limit=5", "limit"),
        ("products?created_from=2026-11-27T09:00:00Z", "created_from"),
        ("stock-levels?created_to=2026-11-27T09:00:00Z", "created_to"),
    ] {
        let refused = app.admin_get(&format!("/v1/admin/exports/{query}")).await;
        let problem = refused.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
    }
    app.admin_get("/v1/admin/exports/customers").await.problem(404, "not_found");
    app.get("/v1/admin/exports/orders").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn head_says_what_would_come_and_does_not_run_it() {
    let app = App::configured(&[("LIMITS__EXPORTS_MAX", "1")]).await;
    fill(&app, 2_000).await;
    let head = app.request(Method::HEAD, "/v1/admin/exports/orders").bearer_auth(ADMIN_KEY);
    let head = Answer::of(head).await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    assert_eq!(head.header("content-disposition"), Some("attachment; filename=\"orders.csv\""));
    assert_eq!(exported(&app).await, 0);
    assert_eq!(table(&app, "orders", "").await.len(), 2_001);
    assert_eq!(exported(&app).await, 2_000);
}

#[tokio::test]
async fn a_slow_client_holds_back_its_export_and_nothing_else() {
    let settings = [("LIMITS__EXPORTS_MAX", "1"), ("LIMITS__EXPORT_STALL_SECONDS", "3")];
    let app = App::configured(&settings).await;
    fill(&app, 100_000).await;
    let mut slow = begun(&app).await;
    assert!(slow.chunk().await.unwrap().is_some());
    let refused = app.admin_get("/v1/admin/exports/orders").await;
    refused.problem(503, "overloaded");
    assert!(refused.header("retry-after").is_some());
    // It stops reading the table once the buffers in between are full, and holds no transaction.
    let mut rows = 0;
    while rows != exported(&app).await {
        rows = exported(&app).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(rows < 100_000, "{rows}");
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND state LIKE 'idle in transaction%'";
    app.database.until(open, 0).await;
    // Its turn goes to somebody else after a while, and the file is seen to be broken off.
    until(async || match app.admin_get("/v1/admin/exports/orders").await.status {
        200 => Ok(()),
        status => Err(format!("its turn goes to nobody else: {status}")),
    })
    .await;
    let end = loop {
        match slow.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_err(), "{end:?}");
}

#[tokio::test]
async fn a_failure_in_the_middle_breaks_the_answer_off() {
    let app = App::start().await;
    fill(&app, 100_000).await;
    let mut begun = begun(&app).await;
    assert_eq!(begun.status(), 200);
    assert!(begun.chunk().await.unwrap().is_some());
    let hide = "ALTER TABLE orders RENAME TO hidden";
    app.database.connect().await.batch_execute(hide).await.unwrap();
    let end = loop {
        match begun.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_err(), "{end:?}");
    // What fails from the start is refused in whole.
    app.admin_get("/v1/admin/exports/orders").await.problem(500, "internal");
}
