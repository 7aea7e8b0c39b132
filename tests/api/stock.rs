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
async fn an_adjustment_is_found_where_its_answer_says() {
    let app = App::start().await;
    app.stocked("A", 100, 0).await;
    let made = app.adjust("A", 7).await;
    let mut adjustment = made.ok(201);
    let shown = app.admin_get(made.header("location").unwrap()).await.ok(200);
    adjustment.as_object_mut().unwrap().remove("level");
    assert_eq!(shown, adjustment);
    assert_eq!((&shown["quantity"], &shown["reason"]), (&json!(7), &json!("received")));
    for unknown in ["adj_01h455vb4pex5vsknk084sn02q", "ord_01h455vb4pex5vsknk084sn02q", "x"] {
        let path = format!("/v1/admin/stock/adjustments/{unknown}");
        app.admin_get(&path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_ledger_of_a_variant_is_listed_newest_first_over_all_locations() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    app.stocked("B", 100, 10).await;
    let order = app.place(&order_of(&[("A", 4)])).await.ok(201);
    let elsewhere = "INSERT INTO locations VALUES \
        ('01900000-0000-7000-8000-000000000002', 'north')";
    app.database.connect().await.batch_execute(elsewhere).await.unwrap();
    let north = uuid::Uuid::from_u128(0x01900000_0000_7000_8000_000000000002);
    let north = doorbuster::id::LocationId::from(north).to_string();
    let body = json!({"sku": "A", "quantity": 3, "reason": "moved", "location_id": north});
    let moved = app.admin_post("/v1/admin/stock/adjustments", &body).await.ok(201);
    let path = "/v1/admin/stock/ledger?sku=A";
    let all = app.admin_get(path).await.ok(200);
    let entries = all["items"].as_array().unwrap();
    let causes: Vec<&str> = entries.iter().map(|e| e["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["adjustment", "order_placed", "adjustment"]);
    assert_eq!(all["next_cursor"], json!(null));
    assert_eq!(
        (&entries[0]["reference"], &entries[1]["reference"]),
        (&moved["id"], &order["id"])
    );
    assert_eq!(entries[0]["location_id"], north);
    let deltas = ["supplied", "available", "held", "sold"].map(|count| &entries[1][count]);
    assert_eq!(deltas, [&json!(0), &json!(-4), &json!(0), &json!(4)]);
    // Page by page, by the variant's id.
    let variant = entries[0]["variant_id"].as_str().unwrap();
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let path = format!("/v1/admin/stock/ledger?variant_id={variant}&limit=1{cursor}");
        let page = app.admin_get(&path).await.ok(200);
        paged.push(page["items"][0].clone());
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    assert_eq!((&paged, cursor.as_str()), (entries, "&cursor="));
    assert_eq!(app.admin_get("/v1/admin/stock/ledger?sku=?").await.ok(200)["items"], json!([]));
    app.database.assert_clean();
}

#[tokio::test]
async fn levels_are_paged_by_variant_and_location() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    app.stocked("B", 100, 10).await;
    let elsewhere = "INSERT INTO locations VALUES \
        ('01900000-0000-7000-8000-000000000002', 'north');
        INSERT INTO stock (variant_id, location_id)
        SELECT id, '01900000-0000-7000-8000-000000000002' FROM variants";
    app.database.connect().await.batch_execute(elsewhere).await.unwrap();
    let all = app.admin_get("/v1/admin/stock/levels").await.ok(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 4);
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    for _ in 0..4 {
        let path = format!("/v1/admin/stock/levels?limit=1{cursor}");
        let page = app.admin_get(&path).await.ok(200);
        paged.push(page["items"][0].clone());
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    assert_eq!((&json!(paged), cursor.as_str()), (&all["items"], "&cursor="));
}

#[tokio::test]
async fn wrong_parameters_of_stock_lists_are_named() {
    let app = App::start().await;
    for (query, pointer) in [
        ("ledger", "sku"),
        ("ledger?sku=A&variant_id=var_01h455vb4pex5vsknk084sn02q", "sku"),
        ("ledger?sku=", "sku"),
        ("ledger?variant_id=prod_01h455vb4pex5vsknk084sn02q", "variant_id"),
        ("ledger?sku=A&limit=101", "limit"),
        ("ledger?sku=A&cursor=x", "cursor"),
        ("ledger?sku=A&order=1", "order"),
        ("levels?sku=%00", "sku"),
        ("levels?cursor=x", "cursor"),
        ("levels?cursor=01900000000070008000000000000001", "cursor"),
        ("levels?limit=-1", "limit"),
        ("levels?offset=1", "offset"),
    ] {
        let refused = app.admin_get(&format!("/v1/admin/stock/{query}")).await;
        let problem = refused.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
    }
    app.get("/v1/admin/stock/ledger?sku=A").await.problem(401, "unauthorized");
    app.get("/v1/admin/stock/adjustments/x").await.problem(401, "unauthorized");
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
