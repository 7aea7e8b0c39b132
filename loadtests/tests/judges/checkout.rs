//! What checkouts come to.

use super::postgres::Postgres;
use super::{answer, expect, money, problem, record};
use loadtests::oracle::checkout::{Evidence, Filling, Shopper, examine};
use loadtests::record::{Answer, Record};
use loadtests::type_id::encode;
use serde_json::{Value, json};
use uuid::Uuid;

const VARIANT: Uuid = Uuid::from_u128(0xa);

/// Session 1 bought one unit, session 2 two, session 3 came too late.
const SALE: &str = "
    INSERT INTO products (id, slug, title, status)
        VALUES ('00000000-0000-0000-0000-0000000000bb', 'mug', 'Mug', 'active');
    INSERT INTO variants (id, product_id, sku, position)
        VALUES ('00000000-0000-0000-0000-00000000000a',
        '00000000-0000-0000-0000-0000000000bb', 'MUG-1', 1);
    INSERT INTO stock SELECT '00000000-0000-0000-0000-00000000000a', id, 3, 0, 0, 3
        FROM locations;
    CREATE FUNCTION buyer(n integer) RETURNS uuid LANGUAGE sql AS
        $$ SELECT ('00000000-0000-0000-0000-00000000010' || n)::uuid $$;
    CREATE FUNCTION order_of(n integer, units integer, mail integer) RETURNS void LANGUAGE sql
        AS $$
        INSERT INTO orders (id, number, status, payment_status, currency, subtotal, discount,
            shipping, tax, total, email, shipping_address, created_at)
        VALUES (buyer(n), 1000 + n, 'confirmed', 'pending', 'GBP', units * 250, 0, 99, 0,
            units * 250 + 99, 'buyer-' || mail || '@run.example',
            '{\"name\": \"B\", \"line1\": \"1 High Street\", \"city\": \"London\",
              \"postal_code\": \"N1\", \"country\": \"GB\"}', now());
        INSERT INTO order_lines SELECT buyer(n), gen_random_uuid(),
            '00000000-0000-0000-0000-00000000000a', id, 'MUG-1', 'Mug', units, 250,
            units * 250, 0 FROM locations $$;
    CREATE FUNCTION key_of(n integer) RETURNS void LANGUAGE sql AS $$
        INSERT INTO idempotency_keys VALUES ('', 'key-' || n, '', buyer(n), 201, '', '') $$;
    SELECT order_of(1, 1, 1), order_of(2, 2, 2), key_of(1), key_of(2)";

fn asked(n: u128, units: i64) -> Value {
    let address = json!({"name": "B", "line1": "1 High Street", "city": "London",
        "postal_code": "N1", "country": "GB"});
    json!({"items": [{"sku": "MUG-1", "quantity": units}],
        "email": format!("buyer-{n}@run.example"), "shipping_address": address,
        "payment": {"provider": "manual"}})
}

/// The body of a cart or an order of so many units.
fn body(units: i64) -> Value {
    let lines = match units {
        0 => json!([]),
        units => json!([{"id": "line_1", "variant_id": encode("var", VARIANT), "sku": "MUG-1",
            "title": "Mug", "quantity": units, "unit_price": money(250),
            "total": money(units * 250)}]),
    };
    json!({"version": 2, "items": lines, "subtotal": money(units * 250), "discount": money(0),
        "shipping": money(99), "tax": money(0), "total": money(units * 250 + 99)})
}

fn name(n: u128) -> String {
    encode("ord", Uuid::from_u128(0x100 + n))
}

fn told(n: u128, units: i64) -> Answer {
    let mut order = body(units);
    let asked = asked(n, units);
    order["id"] = json!(name(n));
    order["number"] = json!((1_000 + n).to_string());
    order["status"] = json!("confirmed");
    order["email"] = asked["email"].clone();
    order["shipping_address"] = asked["shipping_address"].clone();
    answer(201, order)
}

fn shopper(n: u128, units: i64, checkouts: Vec<Record>) -> Shopper {
    let is_sold = checkouts.iter().any(|record| record.label() == "201");
    let left = if is_sold { 0 } else { units };
    let listed = match is_sold {
        true => json!({"items": [{"id": name(n), "total": money(units * 250 + 99)}],
            "next_cursor": null}),
        false => json!({"items": [], "next_cursor": null}),
    };
    let filling = Filling {
        asked: serde_json::from_value(asked(n, units)).unwrap(),
        prepared: vec![record("add", vec![answer(200, body(units))])],
        cart: Some(answer(200, body(units))),
        checkouts,
        after: Some(answer(200, body(left))),
    };
    let mut shopper = Shopper { name: format!("session {n}"), ..Shopper::default() };
    shopper.fillings.push(filling);
    shopper.listed.push(answer(200, listed));
    if is_sold {
        let own = answer(200, json!({"id": name(n), "total": money(units * 250 + 99)}));
        shopper.own.push((name(n), own));
        shopper.others.push((name(n), problem(404, "not_found")));
    }
    shopper
}

fn honest_run() -> Evidence {
    let empty = || problem(409, "cart_empty");
    let sold_out = || problem(409, "out_of_stock");
    let replay = Answer { replayed: true, ..told(1, 1) };
    Evidence {
        supplied: [("MUG-1".to_owned(), 3)].into(),
        price: 250,
        shoppers: vec![
            shopper(
                1,
                1,
                vec![record("key-1", vec![told(1, 1), replay]), record("key-1b", vec![empty()])],
            ),
            shopper(
                2,
                2,
                vec![record("key-2", vec![told(2, 2)]), record("key-2b", vec![empty()])],
            ),
            shopper(
                3,
                1,
                vec![record("key-3", vec![sold_out()]), record("key-3b", vec![sold_out()])],
            ),
        ],
    }
}

/// What is done to the database, and what must be said about it; nothing: that it is clean.
const DEEDS: &[(&str, &[&str])] = &[
    ("SELECT", &[]),
    (
        "DELETE FROM orders WHERE id = buyer(2)",
        &[
            "(key key-2): acknowledged, but not there",
            "buyer-2@run.example: 1 idempotency keys of 0 orders",
            "key key-2b: refused with 409 cart_empty, with 0 orders of the cart",
            "session 2: lists ord_00000000000000000000000082, twice or not its own",
            "sku MUG-1: 3 sold, but 1 units",
        ],
    ),
    (
        "UPDATE order_lines SET quantity = 2, total = 500 WHERE order_id = buyer(1)",
        &["(key key-1): line: acknowledged MUG-1 \"Mug\" 1 × 250 GBP"],
    ),
    (
        "SELECT order_of(7, 1, 1), key_of(7)",
        &[
            "buyer-1@run.example: one cart, 2 orders: ord_",
            "buyer-1@run.example: 1 idempotency keys of 2 orders",
            "session 1: does not list its ord_00000000000000000000000087",
            "sku MUG-1: oversold: 4 units in live orders",
        ],
    ),
    (
        "SELECT order_of(3, 1, 3)",
        &[
            "buyer-3@run.example: 0 idempotency keys of 1 orders",
            "session 3: does not list its ord_00000000000000000000000083",
        ],
    ),
    (
        "DELETE FROM idempotency_keys WHERE key = 'key-1'",
        &["buyer-1@run.example: 0 idempotency keys of 1 orders"],
    ),
    (
        "UPDATE idempotency_keys SET resource_id = buyer(9) WHERE key = 'key-1'",
        &["buyer-1@run.example: the key made ord_00000000000000000000000089, which is not there"],
    ),
    (
        "INSERT INTO idempotency_keys (scope, key, request_hash) VALUES ('', 'key-3', '')",
        &["key key-3: refused with 409 out_of_stock, but its key is there"],
    ),
    (
        "UPDATE orders SET shipping = 0, total = subtotal WHERE id = buyer(1)",
        &["shipping: acknowledged 99 GBP, stored 0 GBP", "session 1: lists ord_"],
    ),
    (
        "UPDATE stock SET supplied = 4, available = 1",
        &["says 4 supplied, but it was 3", "1 units are left, but 1 were refused"],
    ),
];

#[tokio::test]
async fn every_broken_promise_of_a_checkout_is_named() {
    let postgres = Postgres::start().await;
    let database = postgres.url("shop");
    loadtests::stored::connect(&database).await.unwrap().batch_execute(SALE).await.unwrap();
    for (n, (deed, expected)) in DEEDS.iter().enumerate() {
        let name = format!("deed_{n}");
        postgres.create(&name, "shop").await;
        let database = postgres.url(&name);
        loadtests::stored::connect(&database).await.unwrap().batch_execute(deed).await.unwrap();
        expect(&examine(&honest_run(), &database).await.unwrap(), expected, deed);
    }
    tampered_evidence_is_named(&database).await;
    an_unknown_checkout_may_be_there(&database).await;
}

async fn tampered_evidence_is_named(database: &str) {
    type Tamper = fn(&mut Vec<Shopper>);
    fn filling(shoppers: &mut [Shopper], n: usize) -> &mut Filling {
        &mut shoppers[n].fillings[0]
    }
    let cases: [(Tamper, &[&str]); 15] = [
        (
            |s| filling(s, 1).checkouts[1].answers = vec![told(2, 2)],
            &["buyer-2@run.example: acknowledged to several keys: key-2, key-2b"],
        ),
        (|s| filling(s, 0).checkouts[0].answers[1].replayed = false, &["that are no replays"]),
        (
            |s| filling(s, 0).checkouts[0].answers[1].body = "{}".into(),
            &["key key-1: a replay differs"],
        ),
        (
            |s| filling(s, 2).checkouts[1].answers = vec![problem(409, "cart_empty")],
            &["key key-3b: refused with 409 cart_empty, with 0 orders"],
        ),
        (
            |s| filling(s, 2).checkouts[1].answers = vec![problem(422, "checkout_incomplete")],
            &["key key-3b: refused with 422 checkout_incomplete"],
        ),
        (
            |s| filling(s, 0).cart = Some(answer(200, body(2))),
            &[
                "buyer-1@run.example: asked for {\"MUG-1\": 1}, the cart holds {\"MUG-1\": 2}",
                "key key-1: total: the cart said 599 GBP, the order says 349 GBP",
            ],
        ),
        (
            |s| filling(s, 0).after = Some(answer(200, body(1))),
            &["buyer-1@run.example: sold, but the cart still holds {\"MUG-1\": 1}"],
        ),
        (
            |s| filling(s, 2).after = Some(answer(200, body(0))),
            &["buyer-3@run.example: not sold, but {\"MUG-1\": 1} became {}"],
        ),
        (
            |s| filling(s, 0).after = Some(problem(404, "not_found")),
            &["buyer-1@run.example: the cart afterwards: 404 not_found"],
        ),
        (
            |s| filling(s, 0).prepared[0].answers = vec![problem(422, "validation_failed")],
            &["buyer-1@run.example: could not be filled: 422 validation_failed"],
        ),
        (
            |s| s[0].listed[0] = answer(200, json!({"items": [], "next_cursor": null})),
            &["session 1: does not list its ord_00000000000000000000000081"],
        ),
        (
            |s| {
                let others = s[1].listed[0].clone();
                s[0].listed.push(others);
            },
            &["session 1: lists ord_00000000000000000000000082, twice or not its own"],
        ),
        (
            |s| s[0].listed[0] = problem(500, "internal"),
            &["session 1: its list of orders came with 500 internal"],
        ),
        (|s| s[0].others[0].1 = told(1, 1), &["session 1: others asked for its ord_"]),
        (|s| s[0].own[0].1 = problem(404, "not_found"), &["session 1: reads its ord_"]),
    ];
    for (n, (tamper, expected)) in cases.into_iter().enumerate() {
        let mut run = honest_run();
        tamper(&mut run.shoppers);
        expect(&examine(&run, database).await.unwrap(), expected, &format!("tampering {n}"));
    }
}

/// One order for an unknown checkout is right, and counted.
async fn an_unknown_checkout_may_be_there(database: &str) {
    let mut run = honest_run();
    run.shoppers[1].fillings[0].checkouts[0].answers.clear();
    let verdict = examine(&run, database).await.unwrap();
    expect(&verdict, &[], "an unknown order");
    assert_eq!((verdict.checked.unknown, verdict.checked.unknown_with_order), (1, 1));
}
