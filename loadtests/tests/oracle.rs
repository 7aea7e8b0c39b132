//! The oracle can fail: every way of breaking a promise is named, and what is right is not.
#![expect(clippy::unwrap_used, reason = "tests")]

mod postgres;

use loadtests::oracle::{Verdict, examine};
use loadtests::record::{Answer, Record, Run};
use loadtests::type_id::encode;
use postgres::Postgres;
use serde_json::json;
use uuid::Uuid;

const VARIANT: Uuid = Uuid::from_u128(0xa);

/// Three buyers of 1, 2 and 3 units take all that was supplied; one comes too late (4), of one
/// nobody knows (5).
const SALE: &str = "
    INSERT INTO products (id, slug, title, status)
        VALUES ('00000000-0000-0000-0000-0000000000bb', 'mug', 'Mug', 'active');
    INSERT INTO variants VALUES ('00000000-0000-0000-0000-00000000000a',
        '00000000-0000-0000-0000-0000000000bb', 'MUG-1', 1);
    INSERT INTO stock SELECT '00000000-0000-0000-0000-00000000000a', id, 6, 0, 0, 6
        FROM locations;
    CREATE FUNCTION buyer(n integer) RETURNS uuid LANGUAGE sql AS
        $$ SELECT ('00000000-0000-0000-0000-00000000010' || n)::uuid $$;
    CREATE FUNCTION order_of(n integer, units integer) RETURNS void LANGUAGE sql AS $$
        INSERT INTO orders VALUES (buyer(n), 1000 + n, 'confirmed', 'pending', 'unfulfilled',
            'GBP', units * 250, 0, 99, 0, units * 250 + 99, 'buyer-' || n || '@run.example',
            '{\"name\": \"B\", \"line1\": \"1 High Street\", \"city\": \"London\",
              \"postal_code\": \"N1\", \"country\": \"GB\", \"phone\": null}', NULL, NULL, now());
        INSERT INTO order_lines SELECT buyer(n), gen_random_uuid(),
            '00000000-0000-0000-0000-00000000000a', id, 'MUG-1', 'Mug', units, 250,
            units * 250, 0 FROM locations;
        INSERT INTO idempotency_keys VALUES ('', 'key-' || n, '', buyer(n), 201, '', '') $$;
    SELECT order_of(1, 1), order_of(2, 2), order_of(3, 3)";

fn sent(n: u128, units: i64) -> String {
    let address = json!({"name": "B", "line1": "1 High Street", "city": "London",
        "postal_code": "N1", "country": "GB"});
    let email = format!("buyer-{n}@run.example");
    json!({"items": [{"sku": "MUG-1", "quantity": units}], "email": email,
        "shipping_address": address, "payment": {"provider": "manual"}})
    .to_string()
}

fn told(n: u128, units: i64) -> String {
    let money = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    let sent: serde_json::Value = serde_json::from_str(&sent(n, units)).unwrap();
    json!({"id": encode("ord", Uuid::from_u128(0x100 + n)), "number": (1_000 + n).to_string(),
        "access_token": "t", "status": "confirmed", "payment_status": "pending",
        "items": [{"id": "line_1", "variant_id": encode("var", VARIANT), "sku": "MUG-1",
            "title": "Mug", "quantity": units, "unit_price": money(250),
            "total": money(units * 250)}],
        "subtotal": money(units * 250), "discount": money(0), "shipping": money(99),
        "tax": money(0), "total": money(units * 250 + 99), "email": sent["email"],
        "shipping_address": sent["shipping_address"]})
    .to_string()
}

fn answer(status: u16, replayed: bool, body: String) -> Answer {
    let from = "http://a:1".into();
    Answer { from, status, replayed, body: body.into(), ..Answer::default() }
}

fn honest_run() -> Run {
    let record = |n: u128, units: i64, answers: Vec<Answer>| Record {
        key: format!("key-{n}"),
        sent: sent(n, units).into(),
        answers,
        ..Record::default()
    };
    let sold_out = answer(409, false, json!({"code": "out_of_stock"}).to_string());
    Run {
        since_us: None,
        supplied: [("MUG-1".to_owned(), 6)].into(),
        records: vec![
            record(1, 1, vec![answer(201, false, told(1, 1)), answer(201, true, told(1, 1))]),
            record(2, 2, vec![answer(201, true, told(2, 2))]),
            record(3, 3, vec![answer(201, false, told(3, 3))]),
            record(4, 1, vec![sold_out]),
            record(5, 1, vec![answer(503, false, "{}".to_owned())]),
        ],
    }
}

/// What is done to the database, and what must be said about it; nothing: that it is clean.
const DEEDS: &[(&str, &[&str])] = &[
    ("SELECT", &[]),
    (
        "DELETE FROM orders WHERE id = buyer(2)",
        &[
            "order ord_00000000000000000000000082 (key key-2): acknowledged, but not there",
            "key key-2: the idempotency key is there without an order",
            "sku MUG-1: 6 sold, but 4 units",
        ],
    ),
    (
        "UPDATE order_lines SET quantity = 3, total = 750 WHERE order_id = buyer(2)",
        &["(key key-2): line: acknowledged MUG-1 \"Mug\" 2 × 250 GBP", "oversold: 7 units"],
    ),
    (
        "DELETE FROM order_lines WHERE order_id = buyer(1)",
        &["(key key-1): lines: acknowledged 1"],
    ),
    ("UPDATE order_lines SET title = 'Cup'", &["stored MUG-1 \"Cup\""]),
    ("UPDATE order_lines SET sku = 'MUG-2'", &["stored MUG-2"]),
    ("UPDATE order_lines SET variant_id = buyer(9)", &["var_00000000000000000000000089"]),
    (
        "UPDATE order_lines SET unit_price = 1, total = quantity WHERE order_id = buyer(3)",
        &["(key key-3): line: acknowledged", "subtotal: 750 is not the sum"],
    ),
    (
        "UPDATE orders SET shipping = 100, total = subtotal + 100 WHERE id = buyer(3)",
        &["shipping: acknowledged 99 GBP, stored 100 GBP", "total: acknowledged 849 GBP"],
    ),
    ("UPDATE orders SET currency = 'EUR'", &["total: acknowledged 349 GBP, stored 349 EUR"]),
    (
        "UPDATE orders SET number = 7 WHERE id = buyer(1)",
        &["number: acknowledged 1001, stored 7"],
    ),
    ("UPDATE orders SET email = 'x@y.example' WHERE id = buyer(1)", &["email: acknowledged"]),
    ("UPDATE orders SET shipping_address = '{\"name\": \"C\"}'", &["shipping_address: ackn"]),
    (
        "UPDATE orders SET status = 'pending_payment', pay_by = now() WHERE id = buyer(3);
         UPDATE stock SET held = 3, sold = 3",
        &["status: acknowledged confirmed, stored pending_payment"],
    ),
    (
        "UPDATE orders SET status = 'cancelled' WHERE id = buyer(3);
         UPDATE stock SET available = 3, sold = 3",
        &[],
    ),
    ("UPDATE orders SET status = 'cancelled' WHERE id = buyer(3)", &["6 sold, but 3 units"]),
    (
        "INSERT INTO orders SELECT buyer(8), 9, status, payment_status, '', currency, subtotal,
         discount, shipping, tax, total, email, shipping_address, NULL, NULL, now()
         FROM orders WHERE id = buyer(3)",
        &["key key-3: 2 orders: ord_"],
    ),
    ("DELETE FROM idempotency_keys WHERE key = 'key-2'", &["without its idempotency key"]),
    (
        "INSERT INTO idempotency_keys (scope, key, request_hash) VALUES ('b', 'key-1', '')",
        &["key key-1: 2 rows of this key"],
    ),
    (
        "UPDATE idempotency_keys SET resource_id = buyer(1) WHERE key = 'key-2'",
        &["key key-2: the key made ord_00000000000000000000000081, but ord_"],
    ),
    (
        "INSERT INTO idempotency_keys (scope, key, request_hash) VALUES ('', 'key-4', '')",
        &["key key-4: refused with 409 out_of_stock, but its idempotency key is there"],
    ),
    (
        "SELECT order_of(4, 1)",
        &["key key-4: refused with 409 out_of_stock, but ord_00000000000000000000000084 is"],
    ),
    (
        "ALTER TABLE stock DROP CONSTRAINT stock_never_negative;
         SELECT order_of(5, 1); UPDATE stock SET available = -1, sold = 7",
        &[
            "sku MUG-1: oversold: 7 units in live orders",
            "oversold: held 0 + sold 7 of 6",
            "does not add up",
        ],
    ),
    (
        "SELECT order_of(5, 1); UPDATE stock SET supplied = 7, sold = 7",
        &["oversold: 7 units in live orders, 6 were supplied", "says 7 supplied, but it was 6"],
    ),
    (
        "ALTER TABLE stock DROP CONSTRAINT stock_adds_up; UPDATE stock SET available = 1",
        &["does not add up"],
    ),
    ("DELETE FROM stock", &["sku MUG-1: 6 units supplied, but it has no stock row"]),
    (
        "UPDATE stock SET supplied = 7, available = 1",
        &["says 7 supplied, but it was 6", "1 units are left, but 1 were refused"],
    ),
];

#[tokio::test]
async fn every_broken_promise_is_named() {
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
    evidence_contradicts_itself(&database).await;
    an_unknown_order_may_be_there(&database).await;
    who_is_misled_is_counted(&database).await;
}

async fn evidence_contradicts_itself(database: &str) {
    type Tamper = fn(&mut Vec<Record>);
    let cases: [(Tamper, &[&str]); 7] = [
        (|r| r[0].answers[1].body = told(1, 1).replace(':', ": ").into(), &["a replay differs"]),
        (|r| r[0].answers[1].status = 200, &["a replay differs"]),
        (|r| r[0].answers[1].status = 404, &["key key-1: acknowledged, and then answered 404"]),
        (|r| r[0].answers[1].replayed = false, &["key key-1: 2 acknowledgements that are no"]),
        (
            |r| r[0].answers[1].body = told(2, 2).into(),
            &[
                "key key-1: several orders acknowledged: ord_00000000000000000000000081, ord_",
                "asked for buyer-1@run.example, acknowledged for buyer-2@run.example",
            ],
        ),
        (|r| r[1].answers[0].body = "{}".into(), &["key key-2: acknowledged with a body"]),
        (|r| r[1].sent = sent(2, 3).into(), &["-1 units of MUG-1 acknowledged than asked"]),
    ];
    for (tamper, expected) in cases {
        let mut run = honest_run();
        tamper(&mut run.records);
        expect(&examine(&run, database).await.unwrap(), expected, "tampered evidence");
    }
}

/// One order for an unknown key is right, and counted.
async fn an_unknown_order_may_be_there(database: &str) {
    let mut run = honest_run();
    run.records[2].answers.clear();
    let verdict = examine(&run, database).await.unwrap();
    expect(&verdict, &[], "an unknown order");
    assert_eq!((verdict.checked.unknown, verdict.checked.unknown_with_order), (2, 1));
}

/// Whoever was told that nothing was begun, and hears next that it had been, was told a lie.
async fn who_is_misled_is_counted(database: &str) {
    for (status, body, misled) in [
        (503, r#"{"code":"overloaded"}"#, 1),
        (503, r#"{"code":"storage_unavailable","detail":"It is not known whether"}"#, 0),
    ] {
        let mut run = honest_run();
        run.records[0].answers[0] = Answer { status, body: body.into(), ..Answer::default() };
        run.records[1].lost = 1;
        let verdict = examine(&run, database).await.unwrap();
        expect(&verdict, &[], "an order that was begun");
        assert_eq!(verdict.checked.turned_away_with_order, misled, "{body}");
    }
}

fn expect(verdict: &Verdict, expected: &[&str], deed: &str) {
    assert_eq!(verdict.is_clean(), expected.is_empty(), "after {deed}:\n{verdict}");
    let said: Vec<String> = verdict.findings.iter().map(ToString::to_string).collect();
    for expected in expected {
        assert!(said.iter().any(|said| said.contains(expected)), "{expected}\n{said:#?}");
    }
}
