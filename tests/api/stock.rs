use crate::harness::{App, order_of};
use serde_json::json;

#[tokio::test]
async fn adjustments_move_the_level_and_leave_a_cause_in_the_ledger() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    app.place(&order_of(&[("A", 4)])).await.ok(201);
    let body = json!({"sku": "A", "quantity": -5, "reason": "damaged"});
    let adjusted = app.admin_post("/v1/admin/stock/adjustments", &body).await.ok(201);
    assert_eq!(adjusted["level"], json!({"supplied": 5, "available": 1, "held": 0, "sold": 4}));
    let ledger = "SELECT m.cause, m.supplied, m.available, m.sold, a.reason
        FROM stock_ledger m LEFT JOIN stock_adjustments a ON a.id = m.reference ORDER BY m.id";
    let rows = app.database.rows(ledger, &[]).await;
    let entries: Vec<(String, i64, i64, i64, Option<String>)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect();
    let reason = |text: &str| Some(text.to_owned());
    assert_eq!(
        entries,
        [
            ("adjustment".to_owned(), 10, 10, 0, reason("received")),
            ("order_placed".to_owned(), 0, -4, 4, None),
            ("adjustment".to_owned(), -5, -5, 0, reason("damaged")),
        ]
    );
    app.database.assert_clean();
}

#[tokio::test]
async fn what_is_held_or_sold_cannot_be_written_off() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    app.place(&order_of(&[("A", 4)])).await.ok(201);
    let problem = app.adjust("A", -7).await.problem(409, "out_of_stock");
    assert_eq!(problem["errors"][0]["available"], 6);
    assert_eq!(app.level("A").await, [10, 6, 0, 4]);
}

#[tokio::test]
async fn the_ledger_is_append_only() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let client = app.database.connect().await;
    for sql in ["UPDATE stock_ledger SET available = 1", "DELETE FROM stock_ledger"] {
        let refused = client.batch_execute(sql).await.unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("append-only"));
    }
}

#[tokio::test]
async fn adjustments_that_make_no_sense_are_refused_and_change_nothing() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let variant = app.admin_get("/v1/admin/stock/levels?sku=A").await.ok(200);
    let variant = variant["items"][0]["variant_id"].clone();
    for (body, pointer) in [
        (json!({"sku": "A", "quantity": 0, "reason": "x"}), "/quantity"),
        (json!({"sku": "A", "quantity": 1_000_001, "reason": "x"}), "/quantity"),
        (json!({"sku": "A", "quantity": 1, "reason": " "}), "/reason"),
        (json!({"sku": "?", "quantity": 1, "reason": "x"}), "/sku"),
        (json!({"quantity": 1, "reason": "x"}), "/sku"),
        (json!({"sku": "A", "variant_id": variant, "quantity": 1, "reason": "x"}), "/sku"),
        (json!({"variant_id": "var_x", "quantity": 1, "reason": "x"}), "/variant_id"),
        (
            json!({"sku": "A", "quantity": 1, "reason": "x", "location_id": "loc_x"}),
            "/location_id",
        ),
    ] {
        let answer = app.admin_post("/v1/admin/stock/adjustments", &body).await;
        let problem = answer.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    let by_id = json!({"variant_id": variant, "quantity": 5, "reason": "received"});
    app.admin_post("/v1/admin/stock/adjustments", &by_id).await.ok(201);
    assert_eq!(app.level("A").await, [15, 15, 0, 0]);
}

#[tokio::test]
async fn staff_operations_are_closed_without_the_key() {
    let app = App::start().await;
    for path in ["/v1/admin/orders", "/v1/admin/stock/levels"] {
        let refused = app.get(path).await;
        refused.problem(401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        for wrong in ["sk_wrong", "", "dbs_x"] {
            let request = app.request(reqwest::Method::GET, path).bearer_auth(wrong);
            crate::harness::Answer::of(request).await.problem(401, "unauthorized");
        }
    }
    let post = app.request(reqwest::Method::POST, "/v1/admin/products").json(&json!({}));
    crate::harness::Answer::of(post).await.problem(401, "unauthorized");
    let keyless = App::configured(&[("ADMIN__SECRET_KEY", "")]).await;
    let request = keyless.request(reqwest::Method::GET, "/v1/admin/orders").bearer_auth("");
    crate::harness::Answer::of(request).await.problem(401, "unauthorized");
}
