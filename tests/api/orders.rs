use crate::harness::{App, fresh_key, gbp, order_of, paid_with};
use serde_json::{Value, json};

#[tokio::test]
async fn an_order_is_acknowledged_with_what_the_database_holds() {
    let app =
        App::configured(&[("ORDER__SHIPPING_PRICE", "399"), ("ORDER__TAX_RATE", "0.2")]).await;
    app.stocked("MUG", 1299, 10).await;
    let placed = app.place(&order_of(&[("MUG", 2)])).await;
    let order = placed.ok(201);
    let id = order["id"].as_str().unwrap();
    assert_eq!(placed.header("location"), Some(format!("/v1/orders/{id}").as_str()));
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["payment_status"], "pending");
    assert_eq!(order["items"][0]["unit_price"], gbp(1299));
    assert_eq!(order["subtotal"], gbp(2598));
    assert_eq!(order["shipping"], gbp(399));
    assert_eq!(order["tax"], gbp(599)); // 20 % of 2997 is 599.4
    assert_eq!(order["total"], gbp(3596));
    let rows = app
        .database
        .rows(
            "SELECT o.number::text, o.total, o.email, l.sku, l.quantity, l.unit_price
             FROM orders o JOIN order_lines l ON l.order_id = o.id",
            &[],
        )
        .await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, &str>(0), order["number"]);
    assert_eq!(rows[0].get::<_, i64>(1), 3596);
    assert_eq!(rows[0].get::<_, &str>(2), "ada@example.com");
    assert_eq!(rows[0].get::<_, &str>(3), "MUG");
    assert_eq!((rows[0].get::<_, i64>(4), rows[0].get::<_, i64>(5)), (2, 1299));
    assert_eq!(app.level("MUG").await, [10, 8, 0, 2]);
    app.database.assert_clean();
}

#[tokio::test]
async fn an_order_is_shown_to_whoever_holds_its_secret_and_to_nobody_else() {
    let app = App::start().await;
    app.stocked("MUG", 1299, 10).await;
    let mut order = app.place(&order_of(&[("MUG", 1)])).await.ok(201);
    let other = app.place(&order_of(&[("MUG", 1)])).await.ok(201);
    let shown = app.order(&order).await;
    let token = order["access_token"].take();
    order.as_object_mut().unwrap().remove("access_token");
    assert_eq!(shown, order);
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    app.get(&path).await.problem(404, "not_found");
    for wrong in [other["access_token"].as_str().unwrap(), "dbo_", ""] {
        let request = app.request(reqwest::Method::GET, &path).header("X-Order-Token", wrong);
        crate::harness::Answer::of(request).await.problem(404, "not_found");
    }
    assert!(token.is_string());
}

#[tokio::test]
async fn all_lines_are_taken_or_none_and_every_short_line_is_named() {
    let app = App::start().await;
    app.stocked("A", 100, 5).await;
    app.stocked("B", 100, 1).await;
    app.stocked("C", 100, 0).await;
    let wanted = order_of(&[("A", 5), ("B", 2), ("C", 1)]);
    let problem = app.place(&wanted).await.problem(409, "out_of_stock");
    let short: Vec<Value> = problem["errors"].as_array().unwrap().clone();
    assert_eq!(short.len(), 2);
    assert_eq!(short[0]["pointer"], "/items/1/quantity");
    assert_eq!((&short[0]["requested"], &short[0]["available"]), (&json!(2), &json!(1)));
    assert_eq!((&short[1]["sku"], &short[1]["available"]), (&json!("C"), &json!(0)));
    assert_eq!(app.level("A").await, [5, 5, 0, 0]);
    assert_eq!(app.database.number("SELECT count(*) FROM orders").await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM idempotency_keys").await, 0);
    // The same again, now from the fresh view, says the same.
    let again = app.place(&wanted).await.problem(409, "out_of_stock");
    assert_eq!(again["errors"], problem["errors"]);
    app.place(&order_of(&[("A", 5), ("B", 1)])).await.ok(201);
    app.database.assert_clean();
}

#[tokio::test]
async fn the_last_unit_is_sold_once() {
    let app = App::start().await;
    app.stocked("LAST", 100, 1).await;
    let order = order_of(&[("LAST", 1)]);
    let buyers = (0..50).map(|_| app.place(&order));
    let answers = futures_util::future::join_all(buyers).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.problem(409, "out_of_stock");
    }
    assert_eq!(app.level("LAST").await, [1, 0, 0, 1]);
    app.database.assert_clean();
}

#[tokio::test]
async fn plenty_is_sold_in_the_optimistic_form_and_to_the_last_unit_in_the_exact_one() {
    let app = App::start().await;
    app.stocked("HOT", 100, 400).await;
    let order = order_of(&[("HOT", 1)]);
    for _ in 0..5 {
        let answers = futures_util::future::join_all((0..100).map(|_| app.place(&order))).await;
        assert!(answers.iter().all(|answer| answer.status == 201 || answer.status == 409));
    }
    assert_eq!(app.level("HOT").await, [400, 0, 0, 400]);
    let metrics = String::from_utf8(app.get("/metrics").await.bytes).unwrap();
    for form in ["optimistic", "exact"] {
        let labels = format!("journal=\"orders\",form=\"{form}\"");
        let sample = format!("doorbuster_journal_batch_entries_count{{{labels}}}");
        assert!(metrics.contains(&sample), "{metrics}");
    }
    app.database.assert_clean();
}

#[tokio::test]
async fn stock_that_comes_back_is_seen_by_every_instance_within_a_second() {
    let app = App::start().await;
    let other = App::with(&app.database, &[]).await;
    app.stocked("A", 100, 1).await;
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    other.place(&order_of(&[("A", 1)])).await.problem(409, "out_of_stock");
    app.adjust("A", 1).await.ok(201);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    other.place(&order_of(&[("A", 1)])).await.ok(201);
}

#[tokio::test]
async fn another_total_than_the_expected_one_is_refused_with_the_current_one() {
    let app = App::start().await;
    app.stocked("MUG", 1299, 10).await;
    let mut order = order_of(&[("MUG", 2)]);
    order["expected_total"] = gbp(1);
    let problem = app.place(&order).await.problem(409, "price_changed");
    assert_eq!(problem["total"], gbp(2598));
    order["expected_total"] = gbp(2598);
    app.place(&order).await.ok(201);
    assert_eq!(app.level("MUG").await, [10, 8, 0, 2]);
}

#[tokio::test]
async fn nobody_buys_at_a_price_that_was_gone_before_the_commit() {
    let app = App::start().await;
    app.stocked("MUG", 1000, 1000).await;
    app.place(&order_of(&[("MUG", 1)])).await.ok(201);
    // What a catalog write does: the price and the offer's version in one transaction.
    let change = "BEGIN;
        UPDATE prices SET amount = 1500;
        UPDATE stock SET offer_version = offer_version + 1; COMMIT";
    app.database.connect().await.batch_execute(change).await.unwrap();
    let order = app.place(&order_of(&[("MUG", 1)])).await.ok(201);
    assert_eq!(order["total"], gbp(1500));
    let mut expecting = order_of(&[("MUG", 1)]);
    expecting["expected_total"] = gbp(1000);
    app.place(&expecting).await.problem(409, "price_changed");
}

#[tokio::test]
async fn an_address_without_a_postal_code_is_an_address() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let mut order = order_of(&[("A", 1)]);
    order["shipping_address"].as_object_mut().unwrap().remove("postal_code");
    let placed = app.place(&order).await.ok(201);
    assert_eq!(placed["shipping_address"], order["shipping_address"]);
}

#[tokio::test]
async fn lines_of_one_sku_are_one_line() {
    let app = App::start().await;
    app.stocked("MUG", 100, 10).await;
    let order = app.place(&order_of(&[("MUG", 2), ("MUG", 3)])).await.ok(201);
    assert_eq!(order["items"].as_array().unwrap().len(), 1);
    assert_eq!(order["items"][0]["quantity"], 5);
    app.place(&order_of(&[("MUG", 3), ("MUG", 3)])).await.problem(409, "out_of_stock");
}

#[tokio::test]
async fn a_cancelled_order_gives_its_stock_back_and_can_be_cancelled_again() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let confirmed = app.place(&order_of(&[("A", 4)])).await.ok(201);
    let pending = app.place(&paid_with("decline", &[("A", 3)])).await.ok(201);
    assert_eq!(app.level("A").await, [10, 3, 3, 4]);
    for order in [&confirmed, &pending] {
        let reason = json!({"reason": "changed my mind"});
        let cancelled = app.order_post(order, "cancel", &reason).await.ok(200);
        assert_eq!(cancelled["status"], "cancelled");
        let again = app.order_post(order, "cancel", &json!({})).await.ok(200);
        assert_eq!(again, cancelled);
    }
    assert_eq!(app.level("A").await, [10, 10, 0, 0]);
    let paid = app.place(&paid_with("ok", &[("A", 1)])).await.ok(201);
    app.order_post(&paid, "cancel", &json!({})).await.problem(409, "invalid_transition");
    app.database.assert_clean();
}

#[tokio::test]
async fn an_order_of_2000_lines_is_one_transaction_like_any_other() {
    let app = App::start().await;
    let client = app.database.connect().await;
    let many = "
        INSERT INTO products (id, slug, title, status)
            SELECT gen_random_uuid(), 's' || n, 'S' || n, 'active' FROM generate_series(1, 2000) n;
        INSERT INTO variants (id, product_id, sku, position)
            SELECT gen_random_uuid(), id, title, 0 FROM products;
        INSERT INTO prices SELECT id, 'GBP', 100 FROM variants;
        INSERT INTO stock (variant_id, location_id) SELECT v.id, l.id FROM variants v, locations l";
    client.batch_execute(many).await.unwrap();
    app.adjust("S1", 5).await.ok(201);
    let skus: Vec<String> = (1..=2000).map(|n| format!("S{n}")).collect();
    let items: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    let problem = app.place(&order_of(&items)).await.problem(409, "out_of_stock");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 1999);
    let supply = "
        INSERT INTO stock_ledger (variant_id, location_id, cause, reference, supplied, available,
            held, sold, created_at)
            SELECT variant_id, location_id, 'adjustment', variant_id, 1, 1, 0, 0, now() FROM stock;
        UPDATE stock SET supplied = supplied + 1, available = available + 1";
    client.batch_execute(supply).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let order = app.place(&order_of(&items)).await.ok(201);
    assert_eq!(order["items"].as_array().unwrap().len(), 2000);
    assert_eq!(order["total"], gbp(200_000));
    let too_many: Vec<(&str, i64)> = items.iter().copied().chain([("S1", 1)]).collect();
    app.place(&order_of(&too_many)).await.problem(422, "validation_failed");
    app.database.assert_clean();
}

#[tokio::test]
async fn staff_see_all_orders_newest_first_page_by_page() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let mut placed = Vec::new();
    for _ in 0..3 {
        let order = app.place_as(&fresh_key(), &order_of(&[("A", 1)])).await.ok(201);
        placed.push(order["id"].clone());
    }
    let first = app.admin_get("/v1/admin/orders?limit=2").await.ok(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = app.admin_get(&format!("/v1/admin/orders?limit=2&cursor={cursor}")).await.ok(200);
    let listed = [first["items"].as_array().unwrap(), rest["items"].as_array().unwrap()];
    let listed: Vec<&Value> =
        listed.iter().flat_map(|items| items.iter()).map(|order| &order["id"]).collect();
    assert_eq!(listed, placed.iter().rev().collect::<Vec<_>>());
    assert_eq!(rest["next_cursor"], Value::Null);
    assert!(first["items"][0].get("access_token").is_none());
    app.get("/v1/admin/orders").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn order_numbers_are_unique_over_instances() {
    let app = App::start().await;
    let other = App::with(&app.database, &[]).await;
    app.stocked("A", 100, 1000).await;
    let order = order_of(&[("A", 1)]);
    let placed = (0..40).flat_map(|_| [app.place(&order), other.place(&order)]);
    let placed = futures_util::future::join_all(placed).await;
    assert!(placed.iter().all(|answer| answer.status == 201));
    let distinct = "SELECT count(DISTINCT number) FROM orders";
    assert_eq!(app.database.number(distinct).await, 80);
}

#[tokio::test]
async fn a_page_of_orders_ends_early_where_they_have_very_many_lines() {
    let app = App::start().await;
    app.stocked("A", 1, 100).await;
    let session = app.session().await;
    for _ in 0..7 {
        let placing = app.placing(&fresh_key(), &order_of(&[("A", 1)])).bearer_auth(&session);
        crate::harness::Answer::of(placing).await.ok(201);
    }
    let many = "INSERT INTO order_lines
                SELECT order_id, gen_random_uuid(), variant_id, location_id, sku, title, quantity,
                    unit_price, total, tax_rate
                FROM order_lines, generate_series(1, 1999)";
    app.database.execute(many).await;
    let page = async |query: &str| {
        let request = app.request(reqwest::Method::GET, &format!("/v1/orders?limit=100{query}"));
        crate::harness::Answer::of(request.bearer_auth(&session)).await.ok(200)
    };
    let first = page("").await;
    let next = first["next_cursor"].as_str().expect("there are more");
    let second = page(&format!("&cursor={next}")).await;
    let orders = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!((orders(&first), orders(&second)), (5, 2), "10,000 lines are a page");
    assert_eq!(second["next_cursor"], Value::Null);
    let ids = |page: &Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|order| order["id"].clone()).collect()
    };
    let all = [ids(&first), ids(&second)].concat();
    let distinct: std::collections::HashSet<String> = all.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), 7);
    let staff = app.admin_get("/v1/admin/orders?limit=100").await.ok(200);
    assert_eq!(ids(&staff), ids(&first));
}
