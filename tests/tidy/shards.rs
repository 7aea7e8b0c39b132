//! The rows of an order, of a stock and of a shopper could be distributed over several servers: a
//! statement says by the key whose rows it wants, so that only their servers are asked. Those that
//! must ask all of them are known.

use super::scan::{Source, functions, is_name, name_at, words};
use super::tree::{Finding, hold, planted, shipped};
use crate::{DISTRIBUTED, MAY_ASK_ALL_SHARDS, REQUESTS_THAT_ASK_ALL_SHARDS};

/// Words that are no alias of the table before them.
const KEYWORDS: &[&str] = &[
    "CROSS", "FOR", "FULL", "GROUP", "INNER", "JOIN", "LEFT", "LIMIT", "NATURAL", "ON", "ORDER",
    "SET", "USING", "WHERE",
];

/// Where a statement names a table.
struct Mention<'a> {
    verb: &'a str,
    table: &'a str,
    key: &'a str,
    /// What it is called in the statement.
    alias: &'a str,
    /// What follows the table and its alias.
    rest: &'a str,
}

fn mentions<'a>(sql: &'a str) -> Vec<Mention<'a>> {
    let verbs = ["FROM", "JOIN", "INTO", "UPDATE"].into_iter();
    let behind = verbs.flat_map(|verb| {
        words(sql, verb).into_iter().map(move |at| (verb, sql[at + verb.len()..].trim_start()))
    });
    let mention = |(verb, behind): (&'static str, &'a str)| {
        let (table, key) = DISTRIBUTED.iter().find(|(table, _)| *table == name_at(behind, 0))?;
        let rest = behind[table.len()..].trim_start();
        let next = name_at(rest, 0);
        let (alias, rest) = match next.is_empty() || KEYWORDS.contains(&next) {
            true => (*table, rest),
            false => (next, rest[next.len()..].trim_start()),
        };
        Some(Mention { verb, table, key, alias, rest })
    };
    behind.filter_map(mention).collect()
}

/// What stands between parentheses, if it begins with one.
fn listed(sql: &str) -> &str {
    let inside = sql.trim_start().strip_prefix('(').unwrap_or_default();
    inside.split(')').next().unwrap_or_default()
}

/// Those whose rows are not those of keys: listed, joined `USING` it, equal to something that is no
/// column of another table, or to the key of a table whose rows are those of keys.
fn without_keys(sql: &str) -> Vec<Mention<'_>> {
    let (mut said, mut open): (Vec<_>, Vec<_>) =
        mentions(sql).into_iter().partition(|mention| lists_its_key(mention, sql));
    let aliases: Vec<&str> = said.iter().chain(&open).map(|mention| mention.alias).collect();
    let mut before = open.len() + 1;
    while open.len() < before {
        before = open.len();
        let is_given = |owner: &str, said: &[Mention<'_>]| match aliases.contains(&owner) {
            true => said.iter().any(|mention| mention.alias == owner),
            false => is_given_something(sql) && !is_of_rows(sql, owner),
        };
        let (more, rest) = open.into_iter().partition(|mention: &Mention<'_>| {
            equals(sql, mention).into_iter().any(|owner| is_given(owner, &said))
        });
        open = rest;
        said.extend::<Vec<_>>(more);
    }
    open
}

fn lists_its_key(mention: &Mention<'_>, sql: &str) -> bool {
    let Mention { verb, key, rest, .. } = *mention;
    let has_key = |names: &str| !words(names, key).is_empty();
    match (verb, rest.strip_prefix("USING")) {
        ("INTO", _) => has_key(listed(rest)),
        // With what is given: rows of two tables that go together may be anywhere.
        (_, Some(joined)) => {
            has_key(listed(joined))
                && ["unnest($", " AS (", "{"].iter().any(|it| sql.contains(it))
        }
        _ => false,
    }
}

/// Whose columns its key is compared with; empty for what is no column of anything.
fn equals<'a>(sql: &'a str, mention: &Mention<'a>) -> Vec<&'a str> {
    let is_of_name = |letter: char| u8::try_from(letter).is_ok_and(is_name);
    let last_name = |text: &'a str| &text[text.trim_end_matches(is_of_name).len()..];
    // The `o` of `o.id` that a text begins or ends with.
    let owner_at = |text: &'a str| match name_at(text, 0) {
        name if text[name.len()..].starts_with('.') => name,
        _ => "",
    };
    let owner_before = |text: &'a str| {
        let column = last_name(text);
        text[..text.len() - column.len()].strip_suffix('.').map_or("", last_name)
    };
    let compared = |at: usize| {
        let (before, after) = (&sql[..at], &sql[at + mention.key.len()..]);
        let (before, owner) = match before.strip_suffix('.') {
            Some(before) => {
                let owner = last_name(before);
                (&before[..before.len() - owner.len()], owner)
            }
            None => (before, mention.alias),
        };
        let other = match (after.strip_prefix(" = "), before.strip_suffix(" = ")) {
            (Some(after), _) => owner_at(after),
            (None, Some(before)) => owner_before(before),
            (None, None) => return None,
        };
        (owner == mention.alias).then_some(other)
    };
    words(sql, mention.key).into_iter().filter_map(compared).collect()
}

/// Whether that is what a statement calls another table, whose rows are elsewhere: which keys they
/// hold nobody knows who has not asked for them. Of other statements and of functions one knows.
fn is_of_rows(sql: &str, owner: &str) -> bool {
    let names_it = |behind: &str| {
        let name = name_at(behind, 0);
        if name.is_empty() {
            return false;
        }
        let rest = behind[name.len()..].trim_start();
        let alias = name_at(rest.strip_prefix("AS ").unwrap_or(rest), 0);
        let is_called = match alias.is_empty() || KEYWORDS.contains(&alias) {
            true => name,
            false => alias,
        };
        let is_statement = words(sql, name).into_iter().any(|at| {
            // The names of its columns may come first.
            let behind = sql[at + name.len()..].trim_start();
            let behind = behind.strip_prefix('(').map_or(behind, |names| {
                names.split_once(')').map_or("", |(_, behind)| behind.trim_start())
            });
            behind.starts_with("AS (") || behind.starts_with("AS MATERIALIZED (")
        });
        is_called == owner && !rest.starts_with('(') && !is_statement
    };
    let behind = |verb: &'static str| words(sql, verb).into_iter().map(move |at| at + verb.len());
    let all = ["FROM", "JOIN", "UPDATE", "USING"].into_iter().flat_map(behind);
    all.map(|at| sql[at..].trim_start()).any(names_it)
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
        for Mention { table, key, .. } in without_keys(&literal.text) {
            let what = format!("`{table}` without its `{key}`: all servers would be asked");
            found.push((item, source.finding(literal.offset, what)));
        }
    }
    found
}

/// Those that may ask for all, by file and name.
fn known() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    REQUESTS_THAT_ASK_ALL_SHARDS.iter().chain(MAY_ASK_ALL_SHARDS)
}

fn is_known(source: &Source, item: &str) -> bool {
    known().any(|(path, known)| *path == source.path && *known == item)
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
    for (path, known) in known() {
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
        const K: &str = "SELECT FROM payments p JOIN orders o ON o.id = p.order_id WHERE o.n = $1";
        const L: &str = "SELECT FROM variants v JOIN stock s USING (variant_id)";
        const M: &str = "SELECT FROM payments p JOIN orders o ON o.id = p.order_id WHERE o.id = $1";
        const N: &str = "SELECT FROM variants v JOIN stock ON variant_id = v.id WHERE v.sku = $1";
        const O: &str = "SELECT (SELECT n FROM stock WHERE variant_id = v.id), $1 FROM variants v";
        const P: &str = "UPDATE variants v SET n = $1 FROM stock s WHERE s.variant_id = v.id";
        const Q: &str = "WITH k (id) AS (SELECT $1) SELECT FROM k JOIN stock ON variant_id = k.id";
        const R: &str = "WITH k AS (SELECT $1) SELECT FROM k JOIN stock s ON s.variant_id = k.id";
        const S: &str = "SELECT FROM prices p JOIN stock s USING (variant_id) WHERE p.n = $1";
    "#;
    assert_eq!(
        planted(unknown, "src/cart/store/mod.rs", text),
        [3, 4, 4, 6, 8, 10, 12, 12, 13, 15, 16, 17, 20]
    );
}
