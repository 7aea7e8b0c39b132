//! The rows of an order, of a stock and of a shopper could be distributed over several servers: a
//! statement says by the key whose rows it wants, so that only their servers are asked. Those that
//! must ask all of them are known.

use super::scan::{Source, functions, is_name, name_at, words};
use super::tree::{Finding, hold, planted, shipped};
use crate::{DISTRIBUTED, MAY_ASK_ALL_SHARDS};

/// Words that are no alias of the table before them.
const KEYWORDS: &[&str] = &[
    "CROSS", "FOR", "FULL", "GROUP", "JOIN", "LEFT", "LIMIT", "ON", "ORDER", "SET", "USING",
    "WHERE",
];

/// Where a statement names a table.
struct Mention<'a> {
    verb: &'a str,
    table: &'a str,
    key: &'a str,
    /// What follows.
    rest: &'a str,
}

fn mentions<'a>(sql: &'a str) -> Vec<Mention<'a>> {
    let verbs = ["FROM", "JOIN", "INTO", "UPDATE"].into_iter();
    let behind = verbs.flat_map(|verb| {
        words(sql, verb).into_iter().map(move |at| (verb, sql[at + verb.len()..].trim_start()))
    });
    let mention = |(verb, behind): (&'static str, &'a str)| {
        let (table, key) = DISTRIBUTED.iter().find(|(table, _)| *table == name_at(behind, 0))?;
        Some(Mention { verb, table, key, rest: behind[table.len()..].trim_start() })
    };
    behind.filter_map(mention).collect()
}

/// What stands between parentheses, if it begins with one.
fn listed(sql: &str) -> &str {
    let inside = sql.trim_start().strip_prefix('(').unwrap_or_default();
    inside.split(')').next().unwrap_or_default()
}

/// Whether the rows are those of keys: listed, joined `USING` it, or equal to something.
fn says_its_key(sql: &str, mention: &Mention<'_>) -> bool {
    let Mention { verb, table, key, rest } = *mention;
    let has_key = |names: &str| !words(names, key).is_empty();
    if verb == "INTO" {
        return has_key(listed(rest));
    }
    let first = name_at(rest, 0);
    let alias = Some(first).filter(|name| !name.is_empty() && !KEYWORDS.contains(name));
    let behind = rest[alias.map_or(0, str::len)..].trim_start();
    if behind.strip_prefix("USING").is_some_and(|joined| has_key(listed(joined))) {
        return true;
    }
    words(sql, key).into_iter().any(|at| {
        let (before, after) = (&sql[..at], &sql[at + key.len()..]);
        let (before, owner) = match before.strip_suffix('.') {
            Some(before) => {
                let is_of_name = |letter: char| u8::try_from(letter).is_ok_and(is_name);
                before.split_at(before.trim_end_matches(is_of_name).len())
            }
            None => (before, alias.unwrap_or(table)),
        };
        let is_equal = after.starts_with(" = ") || before.ends_with(" = ");
        // Equal to another table's key says nothing as long as nobody says that one.
        is_equal && owner == alias.unwrap_or(table) && is_given_something(sql)
    })
}

/// Whether a statement is given keys: as a parameter, or by what it is put together with.
fn is_given_something(sql: &str) -> bool {
    sql.contains('$') || sql.contains('{')
}

/// The function or constant that begins last before a place.
fn item_before(source: &Source, offset: usize) -> &str {
    let consts = words(&source.code, "const").into_iter().map(|at| at + "const".len());
    let functions = functions(&source.code).into_iter().map(|at| at + "fn".len());
    let before = functions.chain(consts).filter(|at| *at < offset).max();
    before.map_or("", |at| name_at(&source.code, at))
}

/// What a file asks of all: the item, where, and what.
fn unkeyed(source: &Source) -> Vec<(&str, Finding)> {
    let mut found = Vec::new();
    for literal in &source.literals {
        let item = item_before(source, literal.offset);
        let mentions = mentions(&literal.text).into_iter();
        for Mention { table, key, .. } in mentions.filter(|at| !says_its_key(&literal.text, at)) {
            let what = format!("`{table}` without its `{key}`: all servers would be asked");
            found.push((item, source.finding(literal.offset, what)));
        }
    }
    found
}

fn is_known(source: &Source, item: &str) -> bool {
    MAY_ASK_ALL_SHARDS.iter().any(|(path, known)| *path == source.path && *known == item)
}

fn unknown(source: &Source) -> Vec<Finding> {
    let found = unkeyed(source).into_iter().filter(|(item, _)| !is_known(source, item));
    found.map(|(_, finding)| finding).collect()
}

#[test]
fn every_statement_says_whose_rows_it_wants_but_for_those_that_are_known_to_ask_for_all() {
    let sources = shipped();
    for (table, _) in DISTRIBUTED {
        let knows = |source: &Source| {
            let texts = source.literals.iter();
            texts.flat_map(|text| mentions(&text.text)).any(|mention| mention.table == *table)
        };
        assert!(sources.iter().any(knows), "nobody reads or writes `{table}`");
    }
    hold(&sources, unknown);
    for (path, known) in MAY_ASK_ALL_SHARDS {
        let asks = |source: &Source| {
            source.path == *path && unkeyed(source).iter().any(|(item, _)| item == known)
        };
        assert!(sources.iter().any(asks), "`{known}` of {path} asks for nothing of all any more");
    }
}

#[test]
fn planted_statements_without_a_key_are_found() {
    let text = r#"
        const A: &str = "SELECT status FROM orders WHERE id = $1";
        const B: &str = "SELECT status FROM orders WHERE shopper_id = $1";
        const C: &str = "SELECT l.sku FROM order_lines l JOIN orders o ON o.id = l.order_id";
        const D: &str = "SELECT FROM unnest($1) AS k (variant_id) JOIN stock s USING (variant_id)";
        const E: &str = "INSERT INTO payments (id, status) SELECT $1, $2";
        const F: &str = "INSERT INTO payments (order_id, id) SELECT $1, $2";
        const G: &str = "UPDATE payments p SET status = $1 FROM c WHERE p.id = c.order_id";
        const H: &str = "SELECT id FROM products WHERE id = $1";
        const I: &str = "UPDATE orders o SET status = $1 FROM c WHERE c.id = $2";
        const J: &str = "DELETE FROM carts c USING unnest($1) AS k (id) WHERE c.shopper_id = k.id";
    "#;
    assert_eq!(planted(unknown, "src/cart/store/mod.rs", text), [3, 4, 4, 6, 8, 10]);
}
