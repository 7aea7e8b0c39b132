use crate::harness::{App, order_of, paid_with};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The numbers of the orders that a query finds, following `next_cursor` to its end.
async fn found(app: &App, query: &str) -> Vec<String> {
    let (mut numbers, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.admin_get(&format!("/v1/admin/orders?{query}{cursor}")).await.ok(200);
        let items = page["items"].as_array().unwrap();
        numbers.extend(items.iter().map(|order| order["number"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return numbers,
        }
    }
}

fn number(order: &Value) -> String {
    order["number"].as_str().unwrap().to_owned()
}

/// Orders of every kind, oldest first.
async fn orders(app: &App) -> Vec<Value> {
    app.stocked("A", 100, 50).await;
    app.stocked("B", 100, 50).await;
    let mut bob = order_of(&[("B", 1)]);
    bob["email"] = json!("Bob@example.com");
    let orders = [
        order_of(&[("A", 1)]),
        paid_with("ok", &[("A", 1), ("B", 1)]),
        bob,
        paid_with("decline", &[("A", 1)]),
        paid_with("ok", &[("B", 2)]),
    ];
    let mut placed = Vec::new();
    for order in orders {
        placed.push(app.place(&order).await.ok(201));
    }
    app.order_post(&placed[0], "cancel", &json!({})).await.ok(200);
    placed
}

#[tokio::test]
async fn orders_are_found_by_every_filter_and_by_all_together_newest_first() {
    let app = App::start().await;
    let orders = orders(&app).await;
    let time = |order: usize| orders[order]["created_at"].as_str().unwrap().to_owned();
    let (from, to) = (time(1), time(3));
    for (query, expected) in [
        ("".to_owned(), vec![4, 3, 2, 1, 0]),
        ("limit=2".to_owned(), vec![4, 3, 2, 1, 0]),
        ("status=paid".to_owned(), vec![4, 1]),
        ("status=paid&status=cancelled&limit=1".to_owned(), vec![4, 1, 0]),
        ("payment_status=declined".to_owned(), vec![3]),
        ("email=bOB@Example.com".to_owned(), vec![2]),
        ("email=bob".to_owned(), vec![]),
        ("sku=A".to_owned(), vec![3, 1, 0]),
        ("sku=a".to_owned(), vec![]),
        ("sku=A&status=paid&email=ada@example.com".to_owned(), vec![1]),
        (format!("created_from={from}"), vec![4, 3, 2, 1]),
        (format!("created_to={to}"), vec![2, 1, 0]),
        (format!("created_from={from}&created_to={to}&sku=B&limit=1"), vec![2, 1]),
        ("created_to=2020-01-01T00:00:00Z".to_owned(), vec![]),
        ("created_from=9999-01-01T00:00:00Z".to_owned(), vec![]),
        (
            "created_from=0000-01-01T00:00:00Z&created_to=9999-12-31T23:59:59Z&limit=100"
                .to_owned(),
            vec![4, 3, 2, 1, 0],
        ),
    ] {
        let expected: Vec<String> =
            expected.iter().map(|&at: &usize| number(&orders[at])).collect();
        assert_eq!(found(&app, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_named_and_so_is_one_that_does_not_exist() {
    let app = App::start().await;
    for (query, pointer) in [
        ("status=sold", "status"),
        ("status=paid&status=", "status"),
        ("payment_status=paid", "payment_status"),
        ("payment_status=pending&payment_status=captured", "payment_status"),
        ("email=", "email"),
        ("email=a%00b", "email"),
        ("sku=", "sku"),
        ("sku=A&sku=B", "sku"),
        ("created_from=2026-11-27", "created_from"),
        ("created_to=99999-01-01T00:00:00Z", "created_to"),
        ("created_to=9999-12-31T23:59:59-05:00", "created_to"),
        ("created_from=0000-01-01T00:00:00%2B05:00", "created_from"),
        ("created_from=2026-11-27T09:00:00Z&created_to=2026-11-27T09:00:00Z", "created_to"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("customer=1", "customer"),
    ] {
        let refused = app.admin_get(&format!("/v1/admin/orders?{query}")).await;
        let problem = refused.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
    }
    app.get("/v1/admin/orders").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn the_clock_of_an_instance_may_differ_from_that_of_the_database() {
    let app = App::start().await;
    app.stocked("A", 100, 5).await;
    let order = app.place(&order_of(&[("A", 1)])).await.ok(201);
    // As if the instance that made the id were three minutes behind.
    let ahead = "UPDATE orders SET created_at = created_at + interval '3 minutes'";
    app.database.connect().await.batch_execute(ahead).await.unwrap();
    let placed = OffsetDateTime::parse(order["created_at"].as_str().unwrap(), &Rfc3339).unwrap();
    let from = (placed + time::Duration::minutes(2)).format(&Rfc3339).unwrap();
    assert_eq!(found(&app, &format!("created_from={from}")).await, [number(&order)]);
    assert_eq!(found(&app, &format!("created_to={from}")).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_needle_among_many_orders_is_found_by_going_on() {
    let app = App::start().await;
    app.stocked("A", 100, 5).await;
    let order = app.place(&order_of(&[("A", 1)])).await.ok(201);
    // Forty thousand younger ones of other people.
    let fill = "INSERT INTO orders (id, number, status, payment_status, currency, subtotal,
                    discount, shipping, tax, total, email, shipping_address, created_at)
                SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0')
                        || '7fff8000' || lpad(to_hex(n), 12, '0'))::uuid,
                    n, 'cancelled', 'pending', 'GBP', 1, 0, 0, 0, 1, 'x@example.com', '{}', now()
                FROM generate_series(1, 40000) n";
    app.database.connect().await.batch_execute(fill).await.unwrap();
    assert_eq!(found(&app, "email=ada@example.com").await, [number(&order)]);
    assert_eq!(found(&app, "sku=A").await, [number(&order)]);
    assert_eq!(found(&app, "status=confirmed").await, [number(&order)]);
}

#[tokio::test]
async fn staff_see_any_order_without_its_secret() {
    let app = App::start().await;
    app.stocked("A", 100, 5).await;
    let mut order = app.place(&order_of(&[("A", 1)])).await.ok(201);
    order.as_object_mut().unwrap().remove("access_token");
    let path = format!("/v1/admin/orders/{}", order["id"].as_str().unwrap());
    assert_eq!(app.admin_get(&path).await.ok(200), order);
    app.get(&path).await.problem(401, "unauthorized");
    for unknown in ["ord_01h455vb4pex5vsknk084sn02q", "prod_01h455vb4pex5vsknk084sn02q", "x"] {
        let path = format!("/v1/admin/orders/{unknown}");
        app.admin_get(&path).await.problem(404, "not_found");
    }
}
