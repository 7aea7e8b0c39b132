//! What a query string may say, and what its parts are called.

use super::*;

fn parse(query: &str) -> Result<Listing, Problem> {
    Listing::parse(query, "GBP".parse().unwrap())
}

fn blamed(query: &str) -> String {
    parse(query).expect_err(query).errors[0].pointer.clone()
}

#[test]
fn nothing_said_lists_the_newest_and_words_the_best() {
    let plain = parse("").unwrap();
    assert_eq!((plain.sort, plain.limit, plain.currency), (Sort::Newest, 20, None));
    let search = parse("q=+Red%20M%C3%BCg&q=".trim_end_matches("&q=")).unwrap();
    assert_eq!(search.filter.words.as_deref(), Some("red müg"));
    assert_eq!(search.sort, Sort::Relevance);
    assert_eq!(parse("q=").unwrap(), plain);
}

#[test]
fn equal_queries_have_equal_keys_and_others_have_others() {
    let key = |query: &str| parse(query).unwrap().cache_key();
    for (a, b) in [
        ("tag=b&tag=a&limit=20", "tag=a&tag=b&tag=a"),
        ("q=Tea%20cup", "q=tea++CUP%21"),
        (
            "option.size=L&option.size=M&facets=tag,price",
            "facets=price,tag&option.size=M&option.size=L",
        ),
        ("currency=EUR", ""),
        ("sort=price", "sort=price&currency=GBP"),
        ("q=a&sort=relevance", "q=a"),
    ] {
        assert_eq!(key(a), key(b));
    }
    let different = [
        "",
        "tag=a",
        "tag=b",
        "q=a",
        "category=a",
        "collection=a",
        "option.a=b",
        "option.a=b&option.a=c",
        "in_stock=true",
        "in_stock=false",
        "sort=price",
        "sort=price&currency=EUR",
        "limit=21",
        "facets=tag",
        "price_min=1",
        "price_max=1",
    ];
    let keys: BTreeSet<String> = different.iter().map(|query| key(query)).collect();
    assert_eq!(keys.len(), different.len());
}

#[test]
fn what_is_wrong_is_named_by_its_parameter() {
    let long = "a".repeat(201);
    let many = "a+".repeat(13);
    for (query, name) in [
        ("offset=1", "offset"),
        ("q=a&q=b", "q"),
        ("q=%21", "q"),
        ("q=%zz", "q"),
        ("q=%f", "q"),
        ("q=%ff", "q"),
        ("q=a%00", "q"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=%2B1", "limit"),
        ("category=No%20slug", "category"),
        ("collection=", "collection"),
        ("tag=", "tag"),
        ("price_min=-1", "price_min"),
        ("price_max=1.5", "price_max"),
        ("price_min=1000000000001", "price_min"),
        ("price_min=2&price_max=1", "price_max"),
        ("in_stock=yes", "in_stock"),
        ("currency=gbp", "currency"),
        ("sort=", "sort"),
        ("sort=relevance", "sort"),
        ("facets=", "facets"),
        ("facets=tag,size", "facets"),
        ("option.=L", "option."),
        ("option.size=", "option.size"),
        ("cursor=x", "cursor"),
        (&format!("q={long}"), "q"),
        (&format!("q={many}"), "q"),
    ] {
        assert_eq!(blamed(query), name, "{query}");
    }
    assert_eq!(blamed(&"tag=a&".repeat(21)), "tag");
    let facets: Vec<String> = (0..21).map(|n| format!("option.{n}")).collect();
    assert_eq!(blamed(&format!("facets={}", facets.join(","))), "facets");
}

#[test]
fn a_cursor_belongs_to_one_query() {
    let listing = parse("tag=a&sort=price").unwrap();
    let cursor = listing.cursor(SortValue::Price(5), Uuid::nil());
    let next = parse(&format!("tag=a&sort=price&limit=3&cursor={cursor}")).unwrap();
    assert_eq!(next.after.map(|after| after.value), Some(SortValue::Price(5)));
    for other in
        ["tag=b&sort=price", "tag=a&sort=-price", "tag=a", "tag=a&sort=price&currency=EUR"]
    {
        assert_eq!(blamed(&format!("{other}&cursor={cursor}")), "cursor");
    }
    let forged = listing.cursor(SortValue::Id, Uuid::nil());
    assert_eq!(blamed(&format!("tag=a&sort=price&cursor={forged}")), "cursor");
}

#[test]
fn stock_matters_where_it_is_filtered_or_counted() {
    for (query, depends) in [("", false), ("in_stock=false", true), ("facets=in_stock", true)] {
        assert_eq!(parse(query).unwrap().depends_on_stock(), depends, "{query}");
    }
}
