//! What readers see.

use super::{answer, at, expect, problem, record};
use loadtests::oracle::reads::{Became, Changed, Read, judge};
use loadtests::record::Answer;
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000;
const PAGE: &str = "/v1/products/prod_a";
const LIST: &str = "/v1/products?limit=20";

fn product(version: i64, price: i64, available: i64) -> Value {
    json!({"id": "prod_a", "slug": "mug", "title": "Mug", "version": version, "tags": ["gift"],
        "description": "Holds tea.", "variants": [{"id": "var_a", "sku": "MUG-1",
        "prices": [super::money(price)], "in_stock": available > 0, "available": available}]})
}

fn list(product: Value) -> Value {
    json!({"items": [product], "next_cursor": null})
}

/// Under a strong ETag, which is the body itself here.
fn tagged(body: Value) -> Answer {
    Answer { etag: Some(body.to_string()), ..answer(200, body) }
}

fn read(reader: usize, path: &str, at_us: u64, answer: Answer) -> Read {
    let mut record = record("", vec![answer]);
    record.timing = at(at_us);
    Read { reader, path: path.into(), had: None, record }
}

/// Version 2 was acknowledged at 2 s, the eleventh unit at 3 s.
fn changes() -> Vec<Changed> {
    let changed = |to, acknowledged_at_us| Changed {
        product: "prod_a".to_owned(),
        variant: "var_a".to_owned(),
        to,
        acknowledged_at_us,
    };
    vec![
        changed(Became::Price { version: 2, amount: 1_001 }, 2 * SECOND),
        changed(Became::Available(11), 3 * SECOND),
    ]
}

fn honest_reads() -> Vec<Read> {
    let newest = tagged(product(2, 1_001, 11));
    let mut unchanged = answer(304, json!(null));
    unchanged.etag.clone_from(&newest.etag);
    unchanged.body = "".into();
    let mut conditional = read(0, PAGE, 6 * SECOND, unchanged);
    conditional.had = Some((newest.etag.clone().unwrap(), newest.body.clone()));
    vec![
        read(0, PAGE, SECOND, tagged(product(1, 1_000, 10))),
        // Not a second after the acknowledgement yet.
        read(0, PAGE, 3 * SECOND, tagged(product(1, 1_000, 10))),
        read(0, LIST, 7 * SECOND / 2, tagged(list(product(2, 1_001, 10)))),
        read(0, PAGE, 5 * SECOND, newest),
        conditional,
        read(1, LIST, 5 * SECOND, tagged(list(product(2, 1_001, 11)))),
        read(1, PAGE, 6 * SECOND, problem(503, "overloaded")),
    ]
}

#[test]
fn reads_that_keep_the_contract_are_clean() {
    let verdict = judge(&honest_reads(), &changes());
    expect(&verdict, &[], "nothing");
    assert_eq!((verdict.judged["reads"], verdict.judged["not modified"]), (7, 1));
    assert_eq!(verdict.judged["listed versions compared with their page"], 1);
    // The page and the list of version 2.
    assert_eq!(verdict.judged["prices"], 2);
}

/// What is done to the evidence.
type Tamper = fn(&mut Vec<Read>);

const TAMPERINGS: &[(Tamper, &[&str])] = &[
    (
        |r| r[3].record.answers = vec![tagged(product(1, 1_000, 11))],
        &[
            "product prod_a: reader 0 saw version 2 at /v1/products?limit=20, then version 1",
            "version 1 at /v1/products/prod_a of http://a:1, 3000 ms after 2 was ack",
        ],
    ),
    (
        |r| r[5].record.answers = vec![tagged(list(product(1, 1_000, 11)))],
        &["version 1 at /v1/products?limit=20 of http://a:1, 3000 ms after 2 was ack"],
    ),
    (
        |r| r[5].record.answers = vec![tagged(list(product(2, 1_001, 10)))],
        &["available 10 at /v1/products?limit=20 of http://a:1, 2000 ms after 11 was"],
    ),
    // Without PostgreSQL there is nothing newer to show.
    (
        |r| {
            r[5].record.answers = vec![tagged(list(product(1, 1_000, 10)))];
            r[5].record.answers[0].stale = true;
        },
        &[],
    ),
    (
        |r| r[5].record.answers = vec![tagged(list(product(2, 1_002, 11)))],
        &["version 2 differs at /v1/products?limit=20 and at /v1/products?limit=20: variants"],
    ),
    (
        |r| {
            r[2].record.answers = vec![problem(503, "overloaded")];
            r[5].record.answers = vec![tagged(list(product(2, 1_002, 11)))];
        },
        &[
            "version 2 differs at /v1/products?limit=20 from its page: variants",
            "version 2 does not show the price 1001 it began with",
        ],
    ),
    (
        |r| {
            let mut body = product(2, 1_001, 11);
            body["title"] = json!("Cup");
            r[6].record.answers = vec![tagged(body)];
        },
        &["version 2 looks different each time: title \"Mug\" and \"Cup\""],
    ),
    (|r| r[4].had = None, &["304, though no ETag was sent"]),
    (
        |r| r[4].record.answers[0].etag = Some("\"other\"".to_owned()),
        &["304 for \"other\", but "],
    ),
    (
        |r| {
            let tag = r[0].record.answers[0].etag.clone();
            r[3].record.answers[0].etag = tag;
        },
        &["/v1/products/prod_a: two bodies came with the ETag"],
    ),
    (|r| r[0].path = "/v1/products/cup".into(), &["/v1/products/cup: shows product prod_a"]),
    (
        |r| r[6].record.answers = vec![problem(500, "internal")],
        &["/v1/products/prod_a: was answered 500 internal"],
    ),
    (
        |r| {
            let mut body = product(2, 1_001, 11);
            body["variants"][0]["in_stock"] = json!(false);
            r[6].record.answers = vec![tagged(body)];
        },
        &["came with a product that does not read"],
    ),
];

#[test]
fn every_untrue_read_is_named() {
    for (n, (tamper, expected)) in TAMPERINGS.iter().enumerate() {
        let mut reads = honest_reads();
        tamper(&mut reads);
        expect(&judge(&reads, &changes()), expected, &format!("tampering {n}"));
    }
}
