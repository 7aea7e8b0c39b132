//! What carts come to.

use super::postgres::Postgres;
use super::{answer, expect, money, problem, record};
use loadtests::basket::{Change, Units};
use loadtests::oracle::Verdict;
use loadtests::oracle::carts::{CartRun, judge};
use loadtests::record::{Answer, Record};
use loadtests::stored::{self, StoredCart};
use loadtests::type_id::encode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

fn variant(sku: &str) -> Uuid {
    Uuid::from_u128(u128::from(sku.as_bytes()[0]))
}

/// A costs 10, B 20.
fn prices() -> BTreeMap<String, i64> {
    [("A".to_owned(), 10), ("B".to_owned(), 20)].into()
}

fn cart(version: i64, lines: &[(&str, i64)]) -> Value {
    let line = |(sku, quantity): &(&str, i64)| {
        let price = prices()[*sku];
        json!({"id": format!("line_{sku}"), "variant_id": encode("var", variant(sku)), "sku": sku,
            "title": sku, "quantity": quantity, "unit_price": money(price),
            "total": money(price * quantity)})
    };
    let sum: i64 = lines.iter().map(|(sku, quantity)| prices()[*sku] * quantity).sum();
    json!({"version": version, "items": lines.iter().map(line).collect::<Vec<_>>(),
        "subtotal": money(sum), "discount": money(0), "shipping": money(5), "tax": money(1),
        "total": money(sum + 6), "email": null, "shipping_address": null})
}

fn shown(version: i64, lines: &[(&str, i64)]) -> Answer {
    Answer { etag: Some(format!("\"{version}\"")), ..answer(200, cart(version, lines)) }
}

fn add(sku: &str, quantity: i64) -> Change {
    Change::Add(vec![(sku.to_owned(), quantity)])
}

fn set(sku: &str, quantity: i64) -> Change {
    Change::Set { line: format!("line_{sku}"), sku: sku.to_owned(), quantity }
}

fn remove(sku: &str) -> Change {
    Change::Remove { line: format!("line_{sku}"), sku: sku.to_owned() }
}

/// Two units of A, set to five; one of B, of which nobody was told; then A goes.
fn honest_run() -> CartRun {
    let first = shown(1, &[("A", 2)]);
    let replay = Answer { replayed: true, ..first.clone() };
    let end = || shown(4, &[("B", 1)]);
    CartRun {
        token: "dbs_secret".to_owned(),
        name: "cart 7".to_owned(),
        version: 0,
        changes: vec![
            (add("A", 2), record("key-1", vec![first, replay])),
            (set("A", 5), record("", vec![shown(2, &[("A", 5)])])),
            (add("B", 1), Record { lost: 1, ..Record::default() }),
            (remove("A"), record("", vec![end()])),
            (set("A", 9), record("", vec![problem(404, "not_found")])),
        ],
        shown: vec![end(), end()],
    }
}

fn stored_cart(version: i64, lines: &[(&str, i64)]) -> HashMap<String, StoredCart> {
    let items = lines.iter().map(|(sku, quantity)| (variant(sku), *quantity)).collect();
    [("dbs_secret".to_owned(), StoredCart { version, items })].into()
}

fn judged(run: CartRun) -> Verdict {
    judge(&[run], &prices(), Some(&stored_cart(4, &[("B", 1)])))
}

#[test]
fn a_cart_that_was_changed_as_told_is_clean() {
    let verdict = judged(honest_run());
    expect(&verdict, &[], "nothing");
    assert_eq!((verdict.judged["changes"], verdict.judged["unanswered"]), (3, 1));
    assert_eq!(verdict.checked.replays, 1);
}

#[test]
fn changes_that_have_nothing_to_change_need_no_version() {
    let mut run = honest_run();
    let again = (set("A", 5), record("", vec![shown(2, &[("A", 5)])]));
    run.changes.insert(1, again);
    expect(&judged(run), &[], "the same quantity again");
}

#[test]
fn what_carries_a_key_may_have_been_made_by_the_instance_that_was_asked_before() {
    let mut run = honest_run();
    run.changes[2].1 = record("key-2", vec![problem(503, "storage_unavailable")]);
    expect(&judged(run), &[], "a balancer had asked another one");
}

#[test]
fn a_change_without_an_answer_may_also_not_be_there() {
    let mut run = honest_run();
    run.changes[3].1.answers = vec![shown(3, &[])];
    run.shown = vec![shown(3, &[])];
    expect(&judge(&[run.clone()], &prices(), None), &[], "nothing");
    run.shown = vec![shown(4, &[("B", 1)])];
    expect(&judge(&[run.clone()], &prices(), None), &[], "made at the very end");
    run.shown = vec![shown(5, &[("B", 2)])];
    let expected = "cart 7: from version 3 {} to version 5 {\"B\": 2}";
    expect(&judge(&[run], &prices(), None), &[expected], "made twice");
}

/// What is done to the evidence.
type Tamper = fn(&mut CartRun);

const TAMPERINGS: &[(Tamper, &[&str])] = &[
    (|r| drop(r.changes.remove(2)), &["cart 7: from version 2 {\"A\": 5} to version 4"]),
    // Nothing was begun, it was told, the second time by the next instance.
    (
        |r| r.changes[2].1 = record("", vec![problem(503, "storage_unavailable")]),
        &["cart 7: from version 2 {\"A\": 5} to version 4"],
    ),
    (
        |r| {
            let turned_away = record("", vec![problem(503, "overloaded")]);
            r.changes[2].1 = Record { lost: 1, unsent: 1, ..turned_away };
        },
        &["cart 7: from version 2 {\"A\": 5} to version 4"],
    ),
    (|r| r.changes[2].0 = add("B", 2), &["not explained, nor by 1 changes without an answer"]),
    (
        |r| r.changes[1].1.answers = vec![shown(2, &[("A", 7)])],
        &["cart 7: from version 1 {\"A\": 2} to version 2 {\"A\": 7} with Set { line:"],
    ),
    (
        |r| r.changes.push((add("A", 1), record("k", vec![shown(2, &[("A", 5)])]))),
        &["cart 7 version 2: was given twice"],
    ),
    (
        |r| r.changes.push((add("A", 3), record("k", vec![shown(2, &[("A", 8)])]))),
        &["cart 7 version 2: was acknowledged as"],
    ),
    (
        |r| r.shown = vec![shown(4, &[("B", 2)])],
        &["cart 7: version 4 is {\"B\": 2}, but was acknowledged as {\"B\": 1}"],
    ),
    (
        |r| r.shown = vec![shown(3, &[("A", 5), ("B", 1)])],
        &["cart 7: version 4 was acknowledged, but the last one is 3"],
    ),
    (
        |r| r.shown[1] = shown(3, &[("A", 5), ("B", 1)]),
        &["cart 7: instances show versions 4 and 3 of it"],
    ),
    (|r| r.shown.clear(), &["cart 7: no instance shows it in the end"]),
    (|r| r.shown[1] = problem(500, "internal"), &["500 internal with a body that is no cart"]),
    (
        |r| r.changes[0].1.answers[1] = shown(2, &[("A", 4)]),
        &["key key-1: a replay differs", "key key-1: 2 acknowledgements that are no replays"],
    ),
    (
        |r| r.changes[4].1.answers = vec![problem(500, "internal"), problem(403, "forbidden")],
        &["cart 7: Set { line: \"line_A\", sku: \"A\", quantity: 9 } was refused with 403"],
    ),
    (
        |r| {
            r.changes[1].0 =
                Change::Set { line: "line_old".to_owned(), sku: "A".to_owned(), quantity: 5 }
        },
        &["cart 7 version 2: line_old was set, and is not in it"],
    ),
    (
        |r| r.shown[0].etag = Some("\"3\"".to_owned()),
        &["cart 7 version 4: came with the ETag \"3\""],
    ),
    (
        |r| r.shown = vec![shown(4, &[("B", 1), ("B", 0)])],
        &["cart 7 version 4: a SKU stands in several lines"],
    ),
];

#[test]
fn every_change_that_is_not_as_told_is_named() {
    for (n, (tamper, expected)) in TAMPERINGS.iter().enumerate() {
        let mut run = honest_run();
        tamper(&mut run);
        expect(&judged(run), expected, &format!("tampering {n}"));
    }
}

#[test]
fn amounts_that_do_not_add_up_are_named() {
    let places = [
        ("/items/0/unit_price/amount", "B costs 20 there, and 7 here"),
        ("/items/0/total/amount", "1 × B at 20 come to 7"),
        ("/subtotal/amount", "lines of 20 have a subtotal of 7"),
        ("/total/amount", "parts of 26 have a total of 7"),
    ];
    for (place, expected) in places {
        let mut run = honest_run();
        let mut body = cart(4, &[("B", 1)]);
        *body.pointer_mut(place).unwrap() = json!(7);
        run.shown = vec![answer(200, body)];
        expect(&judged(run), &[&format!("cart 7 version 4: {expected}")], place);
    }
}

#[tokio::test]
async fn a_stored_cart_that_is_another_one_is_named() {
    let postgres = Postgres::start().await;
    let client = stored::connect(&postgres.url("shop")).await.unwrap();
    let items = |sku: &str, quantity: i64| {
        let variant = encode("var", variant(sku));
        json!([{"id": "line_x", "variant_id": variant, "quantity": quantity}]).to_string()
    };
    let session = "INSERT INTO sessions (id, token_hash, expires_at, ends_at) VALUES
        ('00000000-0000-0000-0000-0000000000aa', sha256('dbs_secret'), 'infinity', 'infinity')";
    client.batch_execute(session).await.unwrap();
    let cases: [(i64, String, &[&str]); 4] = [
        (4, items("B", 1), &[]),
        (3, items("B", 1), &["cart 7: shown in version 4, stored in 3"]),
        (4, items("B", 2), &["cart 7: shown with {"]),
        (4, items("A", 1), &["cart 7: shown with {"]),
    ];
    let read = async || {
        stored::read_carts(&client, &["dbs_secret".to_owned()])
            .await
            .map(|stored| judge(&[honest_run()], &prices(), Some(&stored)))
    };
    expect(&read().await.unwrap(), &["cart 7: is not in the database"], "no row");
    for (version, items, expected) in cases {
        let cart = format!(
            "DELETE FROM carts; INSERT INTO carts (shopper_id, version, items)
            VALUES ('00000000-0000-0000-0000-0000000000aa', {version}, '{items}')"
        );
        client.batch_execute(&cart).await.unwrap();
        expect(&read().await.unwrap(), expected, &cart);
    }
    drop(client);
}

#[test]
fn units_are_counted_by_sku() {
    let read = loadtests::basket::Cart::read(cart(1, &[("A", 2)]).to_string().as_bytes());
    assert_eq!(read.unwrap().units(), Units::from([("A".to_owned(), 2)]));
}
