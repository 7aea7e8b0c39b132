#![allow(clippy::unwrap_used)]

use super::*;
use crate::money::Currency;
use actix_web::error::PayloadError;
use actix_web::test::TestRequest;
use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Newtype(String);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Draft,
    ForSale,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
    #[serde(default)]
    small: u32,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Order {
    items: Vec<Line>,
    note: Option<String>,
    status: Option<Status>,
    currency: Option<Currency>,
    #[serde(default)]
    prices: BTreeMap<Currency, i64>,
    name: Option<Newtype>,
    gift: Option<bool>,
    at_least: Option<NonZeroU32>,
    pair: Option<(i64, i64)>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Empty {}

fn parse<T: DeserializeOwned>(body: &str) -> Result<T, Problem> {
    Json::<T>::parse(body.as_bytes()).map(|json| json.value)
}

/// The code, pointer and detail of the only error.
fn refused(body: &str) -> (Code, String, String) {
    let problem = parse::<Order>(body).unwrap_err();
    assert_eq!(problem.errors.len(), 1, "{problem}");
    let error = &problem.errors[0];
    (problem.code, error.pointer.clone(), error.detail.clone())
}

fn hash(body: &str) -> [u8; 32] {
    Json::<serde_json::Value>::parse(body.as_bytes()).unwrap().hash
}

#[track_caller]
fn assert_unreadable(body: &str, pointer: &str, detail: &str) {
    assert_eq!(refused(body), (Code::InvalidRequest, pointer.into(), detail.into()), "{body}");
}

#[track_caller]
fn assert_not_valid(body: &str, pointer: &str, detail: &str) {
    assert_eq!(refused(body), (Code::ValidationFailed, pointer.into(), detail.into()), "{body}");
}

#[test]
fn every_kind_of_field_is_read() {
    let order: Order = parse(
        r#"{"items": [{"sku": "A", "quantity": -1}, {"quantity": 2, "sku": "\u00e9", "small": 7}],
            "note": null, "status": "for_sale", "currency": "GBP", "prices": {"EUR": 5},
            "name": "n", "gift": true, "at_least": 3, "pair": [1, 2]}"#,
    )
    .unwrap();
    let line = |sku: &str, quantity, small| Line { sku: sku.into(), quantity, small };
    let expected = Order {
        items: vec![line("A", -1, 0), line("é", 2, 7)],
        note: None,
        status: Some(Status::ForSale),
        currency: "GBP".parse().ok(),
        prices: BTreeMap::from([("EUR".parse().unwrap(), 5)]),
        name: Some(Newtype("n".into())),
        gift: Some(true),
        at_least: NonZeroU32::new(3),
        pair: Some((1, 2)),
    };
    assert_eq!(order, expected);
    let any: serde_json::Value = parse(r#"{"a": [1, 1.5, 9223372036854775808, "x"]}"#).unwrap();
    assert_eq!(any, serde_json::json!({"a": [1, 1.5, 9223372036854775808u64, "x"]}));
}

#[test]
fn what_is_not_json_is_told_by_line_and_column_only() {
    let at = |line, column| format!("the body is not valid JSON at line {line}, column {column}");
    assert_unreadable("{", "", &at(1, 1));
    assert_unreadable("{\"items\": [],\n  \"note\": nul}", "", &at(2, 14));
    assert_unreadable("{\"items\": []} x", "", &at(1, 15));
    assert_unreadable("{\"items\": []}{}", "", &at(1, 14));
    assert_unreadable(r#"{"note": "\ud800"}"#, "", &at(1, 17));
    assert_unreadable("{'items': []}", "", &at(1, 2));
    assert_unreadable("{\"items\": [],}", "", &at(1, 14));
    assert_unreadable("{\"items\": NaN}", "", &at(1, 11));
    assert_unreadable("", "", "the body is empty, expected a JSON object");
    let problem = Json::<Order>::parse(b"{\"note\": \"\xff\"}").unwrap_err();
    assert_eq!((problem.code, &*problem.detail), (Code::InvalidRequest, "the body is not UTF-8"));
}

#[test]
fn only_objects_are_taken_for_objects() {
    for body in ["[]", "1", "\"x\"", "null", "true", r#"[[{"sku": "A", "quantity": 1}]]"#] {
        assert_unreadable(body, "", "expected an object");
        assert!(parse::<serde_json::Value>(body).is_err());
    }
    assert_unreadable(r#"{"items": [["A", 1]]}"#, "/items/0", "expected an object");
    assert_unreadable(r#"{"items": [], "prices": []}"#, "/prices", "expected an object");
    assert_unreadable(r#"{"items": {"0": 1}}"#, "/items", "expected an array");
}

#[test]
fn duplicate_keys_are_refused_at_any_depth() {
    assert_unreadable(r#"{"items": [], "items": []}"#, "/items", "given more than once");
    assert_unreadable(
        r#"{"items": [{"sku": "A"}, {"sku": "A", "quantity": 1, "s\u006bu": "B"}]}"#,
        "/items/1/sku",
        "given more than once",
    );
}

#[test]
fn nul_is_refused_in_texts_and_keys() {
    let detail = "the character U+0000 is not accepted";
    assert_unreadable(r#"{"items": [{"sku": "A\u0000"}]}"#, "/items/0/sku", detail);
    assert_unreadable(r#"{"a\u0000": 1}"#, "/a\0", detail);
}

#[test]
fn nesting_is_refused_beyond_a_bound() {
    let nested =
        |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(parse::<serde_json::Value>(&nested(64)).is_ok());
    let problem = parse::<serde_json::Value>(&nested(65)).unwrap_err();
    assert_eq!(problem.errors[0].pointer, format!("/a{}", "/0".repeat(63)));
    assert_eq!(problem.errors[0].detail, "nested too deeply, at most 64 levels are read");
    assert!(parse::<serde_json::Value>(&nested(60_000)).is_err());
}

#[test]
fn unknown_and_missing_fields_are_named() {
    assert_unreadable(
        r#"{"items": [{"sku": "A", "quantity": 1}, {"sku": "A", "amount": 1}]}"#,
        "/items/1/amount",
        "unknown field; known are sku, quantity, small",
    );
    assert_unreadable(r#"{"items": [{"sku": "A"}]}"#, "/items/0/quantity", "is required");
    assert_unreadable("{}", "/items", "is required");
    let problem = parse::<Empty>(r#"{"a/b~c": 1}"#).unwrap_err();
    assert_eq!(problem.errors[0].pointer, "/a~1b~0c");
    assert_eq!(problem.errors[0].detail, "unknown field; none are known here");
}

#[test]
fn wrong_types_are_told_in_terms_of_the_api() {
    let quantity = |value: &str| {
        let body = format!(r#"{{"items": [{{"sku": "A", "quantity": {value}}}]}}"#);
        let (code, pointer, detail) = refused(&body);
        assert_eq!((code, &*pointer), (Code::InvalidRequest, "/items/0/quantity"));
        detail
    };
    for value in ["\"1\"", "1.5", "1e-1", "1e17", "true", "null", "[]", "{}"] {
        assert_eq!(quantity(value), "expected an integer", "{value}");
    }
    for value in ["1", "1.0", "10e-1", "0.1e1"] {
        let body = format!(r#"{{"items": [{{"sku": "A", "quantity": {value}}}]}}"#);
        let read = parse::<Order>(&body).map(|order| order.items[0].quantity);
        assert_eq!(read, Ok(1), "{value}");
    }
    let range = "expected an integer from -9223372036854775808 to 9223372036854775807";
    for value in ["9223372036854775808", "18446744073709551616", "-9223372036854775809"] {
        assert_eq!(quantity(value), range, "{value}");
    }
    assert_unreadable(r#"{"items": [], "note": 1}"#, "/note", "expected a string");
    assert_unreadable(r#"{"items": [], "name": {}}"#, "/name", "expected a string");
    assert_unreadable(r#"{"items": [], "gift": "true"}"#, "/gift", "expected true or false");
    assert_unreadable(r#"{"items": [], "status": 1}"#, "/status", "expected a string");
    assert_unreadable(r#"{"items": [], "currency": 826}"#, "/currency", "expected a string");
    assert_unreadable(
        r#"{"items": [], "prices": {"EUR": "1"}}"#,
        "/prices/EUR",
        "expected an integer",
    );
    assert_unreadable(
        r#"{"items": [], "pair": [1]}"#,
        "/pair",
        "expected an array of 2 elements",
    );
}

#[test]
fn right_types_with_wrong_values_are_not_valid() {
    let currency = "not an ISO 4217 currency code in capitals";
    assert_not_valid(r#"{"items": [], "currency": "gbp"}"#, "/currency", currency);
    assert_not_valid(r#"{"items": [], "prices": {"XQZ": 1}}"#, "/prices/XQZ", currency);
    assert_not_valid(
        r#"{"items": [], "status": "Draft"}"#,
        "/status",
        "must be one of draft, for_sale",
    );
    assert_not_valid(
        r#"{"items": [{"sku": "A", "quantity": 1, "small": -1}]}"#,
        "/items/0/small",
        "must be from 0 to 4294967295",
    );
    assert_not_valid(r#"{"items": [], "at_least": 0}"#, "/at_least", "is not an accepted value");
}

#[test]
fn equal_values_have_equal_hashes() {
    let plain = hash(r#"{"a": 1, "b": ["é", 0, 1000000000000000000000], "c": null}"#);
    let spelled = hash("{\"c\":null,\n\t\"\\u0062\":[\"\\u00E9\", -0.0, 1e21],\"a\":10e-1}");
    assert_eq!(plain, spelled);
    let others = [
        r#"{"a": "1"}"#,
        r#"{"a": 1}"#,
        r#"{"a": 2}"#,
        r#"{"a": [1]}"#,
        r#"{"a": 1.5}"#,
        r#"{"a": {"1": null}}"#,
        r#"{"a": "1", "b": "2"}"#,
        r#"{"a": "1\",\"b\":\"2"}"#,
        r#"{"a": 9223372036854775807}"#,
        r#"{"a": 9223372036854775808}"#,
        r#"{"a": null}"#,
        "{}",
    ];
    let hashes: std::collections::BTreeSet<_> = others.iter().map(|body| hash(body)).collect();
    assert_eq!(hashes.len(), others.len());
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        // Quarters are exact in every parser; no operation reads other fractions.
        any::<i32>().prop_map(|number| (f64::from(number) / 4.0).into()),
        "[^\u{0}]{0,6}".prop_map(Into::into),
        prop_oneof![Just("GBP"), Just("draft")].prop_map(Into::into),
    ];
    let key = prop_oneof!["(items|sku|quantity|prices|currency|pair|status)", "[^\u{0}]{0,3}"];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|entries| { serde_json::Value::Object(entries.into_iter().collect()) }),
        ]
    })
}

/// The same value with keys the other way round, spaces, and every letter escaped.
fn respell(value: &serde_json::Value) -> String {
    let text = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        serde_json::Value::String(string) => text(string),
        serde_json::Value::Array(items) => {
            format!("[ {} ]", items.iter().map(respell).collect::<Vec<_>>().join(" ,\n"))
        }
        serde_json::Value::Object(entries) => {
            let entry =
                |(key, value): (&String, _)| format!("{} : {}", text(key), respell(value));
            format!("{{\t{}}}", entries.iter().rev().map(entry).collect::<Vec<_>>().join(" , "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Json::<Order>::parse(&body);
    }

    #[test]
    fn no_json_makes_the_reader_panic_or_show_our_types(value in any_json()) {
        if let Err(problem) = parse::<Order>(&value.to_string()) {
            for error in problem.errors {
                prop_assert!(error.pointer.is_empty() || error.pointer.starts_with('/'));
                let detail = error.detail;
                for ours in ["struct", "Line", "Order", "Newtype", "i64", "u32", "sequence"] {
                    prop_assert!(!detail.contains(ours), "{}", detail);
                }
            }
        }
    }

    #[test]
    fn two_spellings_of_a_value_have_one_hash(value in any_json()) {
        let body = serde_json::json!({ "a": value });
        prop_assert_eq!(hash(&body.to_string()), hash(&respell(&body)));
        let back: serde_json::Value = parse(&body.to_string()).unwrap();
        prop_assert_eq!(back, body);
    }
}

const TYPE: (&str, &str) = ("content-type", "application/json");

fn quick() -> JsonConfig {
    let (timeout, grace) = (Duration::from_millis(60), Duration::from_secs(1));
    JsonConfig { limit: 32, timeout, grace, rate_min: 0 }
}

async fn extract(request: TestRequest) -> Result<BTreeMap<String, i64>, Code> {
    let (request, mut payload) = request.to_http_parts();
    let json = Json::from_request(&request, &mut payload).await;
    json.map(|json: Json<_>| json.value).map_err(|problem| problem.code)
}

async fn extract_or_empty(request: TestRequest) -> Result<Empty, Code> {
    let (request, mut payload) = request.to_http_parts();
    let json = JsonOrEmpty::from_request(&request, &mut payload).await;
    json.map(|json| json.value).map_err(|problem| problem.code)
}

/// A body that arrives in pieces, one every `pause`.
async fn dribble(pieces: Vec<&'static str>, pause: Duration, rules: JsonConfig) -> Option<Code> {
    let pieces = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, PayloadError>(Bytes::from(piece))
    });
    let request = TestRequest::post().insert_header(TYPE).app_data(rules).to_http_request();
    let mut payload = Payload::from(pieces.boxed_local());
    let json: Result<Json<BTreeMap<String, i64>>, _> =
        Json::from_request(&request, &mut payload).await;
    json.err().map(|problem| problem.code)
}

#[actix_web::test]
async fn only_plain_json_is_read() {
    let post = || TestRequest::post().set_payload(r#"{"a": 1}"#);
    let patch = || TestRequest::patch().set_payload(r#"{"a": 1}"#);
    for good in [
        post().insert_header(TYPE),
        post().insert_header(("content-type", "Application/JSON; charset=\"UTF-8\"")),
        post().insert_header(TYPE).insert_header(("content-encoding", "identity")),
        patch().insert_header(("content-type", "application/merge-patch+json")),
    ] {
        assert_eq!(extract(good).await, Ok(BTreeMap::from([("a".to_owned(), 1)])));
    }
    for bad in [
        post(),
        post().insert_header(("content-type", "text/plain")),
        post().insert_header(("content-type", "application/json; charset=latin1")),
        post().insert_header(("content-type", "application/merge-patch+json")),
        post().insert_header(("content-type", "application/json-seq")),
        post().insert_header(TYPE).append_header(("content-type", "text/plain")),
        post().insert_header(TYPE).insert_header(("content-encoding", "gzip")),
    ] {
        assert_eq!(extract(bad).await, Err(Code::UnsupportedMediaType));
    }
}

#[actix_web::test]
async fn an_empty_body_is_an_object_only_where_it_may_be_left_out() {
    let empty = || TestRequest::post().insert_header(TYPE);
    assert_eq!(extract(empty()).await, Err(Code::InvalidRequest));
    assert_eq!(extract_or_empty(TestRequest::post()).await, Ok(Empty {}));
    assert_eq!(extract_or_empty(empty()).await, Ok(Empty {}));
    assert_eq!(extract_or_empty(empty().set_payload("{}")).await, Ok(Empty {}));
    let untyped = TestRequest::post().set_payload("{}");
    assert_eq!(extract_or_empty(untyped).await, Err(Code::UnsupportedMediaType));
    let unknown = empty().set_payload(r#"{"a": 1}"#);
    assert_eq!(extract_or_empty(unknown).await, Err(Code::InvalidRequest));
    let hash = |body| JsonOrEmpty::<Empty>::parse(body).unwrap().hash;
    assert_eq!(hash(b""), hash(b" {} "));
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused() {
    let long = r#"{"a": 1                        }"#;
    assert_eq!(long.len(), 32);
    let post = |body: &'static str| {
        TestRequest::post().insert_header(TYPE).app_data(quick()).set_payload(body)
    };
    assert!(extract(post(long)).await.is_ok());
    // The length alone is enough: the body itself is short.
    let claimed = post("{}").insert_header(("content-length", "33"));
    assert_eq!(extract(claimed).await, Err(Code::PayloadTooLarge));
    let chunked = dribble(vec![long, " "], Duration::ZERO, quick()).await;
    assert_eq!(chunked, Some(Code::PayloadTooLarge));
    let wider = post(r#"{"a": 1                         }"#).app_data(BodyLimit(33));
    assert!(extract(wider).await.is_ok());
    let narrower = post(long).app_data(BodyLimit(31));
    assert_eq!(extract(narrower).await, Err(Code::PayloadTooLarge));
}

#[actix_web::test]
async fn a_body_has_to_arrive_in_time() {
    let pieces = || vec!["{", "\"a\"", ":", "1", "}"];
    assert_eq!(dribble(pieces(), Duration::from_millis(1), quick()).await, None);
    let slow = dribble(pieces(), Duration::from_millis(25), quick()).await;
    assert_eq!(slow, Some(Code::RequestTimeout));
}

#[actix_web::test]
async fn a_body_has_to_keep_up_the_rate_after_a_second() {
    let (timeout, grace) = (Duration::from_secs(10), Duration::from_secs(1));
    let rules = JsonConfig { limit: 1000, timeout, grace, rate_min: 10 };
    assert_eq!(patience(rules, 0), Duration::from_secs(1));
    assert_eq!(patience(rules, 9), Duration::from_secs(1));
    assert_eq!(patience(rules, 25), Duration::from_millis(2500));
    assert_eq!(patience(rules, 5000), Duration::from_secs(10));
    assert_eq!(patience(JsonConfig { rate_min: 0, ..rules }, 0), Duration::from_secs(10));
    let start = tokio::time::Instant::now();
    let slow = dribble(vec!["{", " ", " ", "}"], Duration::from_millis(400), rules).await;
    assert_eq!(slow, Some(Code::RequestTimeout));
    assert!(start.elapsed() < Duration::from_millis(1500));
    assert_eq!(dribble(vec!["{", "}"], Duration::from_millis(400), rules).await, None);
}
