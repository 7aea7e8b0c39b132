//! What searches find.

use super::{answer, expect, problem, record};
use loadtests::oracle::search::{Kind, Search, judge, share_found};
use loadtests::record::Record;
use serde_json::{Value, json};

fn item(id: &str, tags: &[&str], in_stock: bool) -> Value {
    json!({"id": id, "slug": id, "title": id, "version": 1, "tags": tags, "variants": [
        {"id": "var_a", "sku": "A", "prices": [], "in_stock": in_stock, "available": 0}]})
}

fn page(items: &[Value], cursor: Option<&str>) -> Value {
    json!({"items": items, "next_cursor": cursor, "facets": {
        "tag": [{"value": "gift", "count": 2}, {"value": "red", "count": 1}],
        "in_stock": [{"value": "true", "count": 2}, {"value": "false", "count": 1}]}})
}

fn pages() -> [Value; 2] {
    let first = [item("prod_a", &["gift"], true), item("prod_b", &["gift", "red"], false)];
    [page(&first, Some("more")), page(&[item("prod_c", &[], true)], None)]
}

/// A whole title, read to its end and counted.
fn search(pages: &[Value]) -> Search {
    let pages = pages.iter().map(|page| record("", vec![answer(200, page.clone())]));
    Search {
        kind: Kind::Title,
        query: "/v1/products?q=c".to_owned(),
        wanted: "prod_c".to_owned(),
        is_counted: true,
        pages: pages.collect(),
    }
}

#[test]
fn searches_that_find_and_count_right_are_clean() {
    let honest = search(&pages());
    let verdict = judge(std::slice::from_ref(&honest));
    expect(&verdict, &[], "nothing");
    assert_eq!((verdict.judged["titles found"], verdict.judged["facets"]), (1, 4));
    let typo = Search { kind: Kind::Typo, wanted: "prod_z".to_owned(), ..honest.clone() };
    // A typo may miss; how often is counted.
    expect(&judge(std::slice::from_ref(&typo)), &[], "a typo");
    assert_eq!(share_found(&[typo, honest.clone()], Kind::Typo), Some(0.0));
    assert_eq!(share_found(&[honest], Kind::Word), None);
}

#[test]
fn every_wrong_answer_to_a_search_is_named() {
    type Tamper = fn(&mut [Value; 2]);
    let cases: [(Tamper, &str); 6] = [
        (|p| p[1]["items"][0] = item("prod_a", &[], true), "shows prod_a twice"),
        (|p| p[1]["items"] = json!([]), "is its title, but does not find prod_c"),
        (
            |p| p[0]["facets"]["tag"][0]["count"] = json!(3),
            "counts tag \"gift\" 3 times, but there are 2",
        ),
        (|p| p[1]["facets"]["tag"] = json!([]), "counts tag not \"gift\", of which there are 2"),
        (
            |p| p[0]["facets"]["in_stock"][1]["value"] = json!("true"),
            "counts in_stock \"true\" twice",
        ),
        (|p| p[1] = json!({"items": 7}), "came with no page"),
    ];
    for (tamper, expected) in cases {
        let mut pages = pages();
        tamper(&mut pages);
        expect(&judge(&[search(&pages)]), &[expected], expected);
    }
    let mut refused = search(&pages());
    refused.pages = vec![Record::default()];
    expect(&judge(&[refused.clone()]), &[], "no answer");
    refused.pages = vec![record("", vec![problem(500, "internal")])];
    expect(&judge(&[refused]), &["was answered 500 internal"], "an error");
}
