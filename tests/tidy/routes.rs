//! Every handler is registered, described in the OpenAPI document, and named verb and noun.

use super::scan::{Source, name_at, words};
use super::tree::{Finding, file_name, hold, none, planted, read, shipped};
use crate::{UNDESCRIBED_HANDLERS, VERBS};

const TABLE: &str = "src/http/table";
const DOCUMENT: &str = "src/http/openapi.rs";

/// A handler where it is named: by its module at the top and its own name, so that it does not
/// matter through which path it is reached.
#[derive(Debug, PartialEq, Eq)]
struct Handler<'s> {
    offset: usize,
    module: &'s str,
    name: &'s str,
}

impl<'s> Handler<'s> {
    fn of(offset: usize, path: &'s str) -> Self {
        let path = path.trim();
        let path = path.trim_start_matches("crate::").trim_start_matches("super::");
        let module = path.split("::").next().unwrap_or_default();
        let name = path.rsplit("::").next().unwrap_or_default();
        Self { offset, module, name }
    }

    fn is_in(&self, others: &[Handler]) -> bool {
        others.iter().any(|other| (other.module, other.name) == (self.module, self.name))
    }
}

/// What the route table registers: `to!(order::routes::place_order)`.
fn registered(table: &Source) -> Vec<Handler<'_>> {
    let code = &table.shipped;
    let handler = |at: usize| {
        let from = at + "to!(".len();
        let end = code[from..].find(')').map_or(code.len(), |end| from + end);
        Handler::of(at, &code[from..end])
    };
    words(code, "to!(").into_iter().map(handler).collect()
}

/// What the document describes: `paths(order::routes::place_order, …)`.
fn described(document: &Source) -> Vec<Handler<'_>> {
    let code = &document.shipped;
    let Some(at) = words(code, "paths(").first().copied() else { return Vec::new() };
    let mut from = at + "paths(".len();
    let end = code[from..].find(')').map_or(code.len(), |end| from + end);
    let mut handlers = Vec::new();
    for path in code[from..end].split(',') {
        let blank = path.len() - path.trim_start().len();
        if !path.trim().is_empty() {
            handlers.push(Handler::of(from + blank, path));
        }
        from += path.len() + 1;
    }
    handlers
}

/// The handlers that a file defines.
fn defined(source: &Source) -> Vec<Handler<'_>> {
    let before = "pub async fn ";
    let below = source.path.trim_start_matches("src/http/").trim_start_matches("src/");
    let module = below.split(['/', '.']).next().unwrap_or_default();
    let handler = |at: usize| {
        let name = name_at(&source.shipped, at + before.len());
        Handler { offset: at, module, name }
    };
    words(&source.shipped, before).into_iter().map(handler).collect()
}

fn undescribed(table: &Source, document: &Source) -> Vec<Finding> {
    let (registered, described) = (registered(table), described(document));
    let missing = registered.iter().filter(|handler| {
        !handler.is_in(&described) && !UNDESCRIBED_HANDLERS.contains(&handler.name)
    });
    let finding = |handler: &Handler| {
        let what = format!("`{}` is not in `paths(…)` of {DOCUMENT}: add it", handler.name);
        table.finding(handler.offset, what)
    };
    let mut findings: Vec<Finding> = missing.map(finding).collect();
    let stray = described.iter().filter(|handler| !handler.is_in(&registered));
    findings.extend(stray.map(|handler| {
        let what = format!("`{}` is described but not in {TABLE}: register it", handler.name);
        document.finding(handler.offset, what)
    }));
    findings
}

fn misnamed(table: &Source) -> Vec<Finding> {
    let is_named = |name: &str| {
        let parts = name.split_once('_');
        parts.is_some_and(|(verb, noun)| VERBS.contains(&verb) && !noun.is_empty())
    };
    let misnamed = registered(table).into_iter().filter(|handler| !is_named(handler.name));
    let finding = |handler: Handler| {
        let what = format!(
            "`{}` is no verb and noun: rename it (`create_product`), or add the verb to VERBS in \
             tests/tidy.rs",
            handler.name
        );
        table.finding(handler.offset, what)
    };
    misnamed.map(finding).collect()
}

fn unregistered(table: &Source, source: &Source) -> Vec<Finding> {
    let registered = registered(table);
    let missing = defined(source).into_iter().filter(|handler| !handler.is_in(&registered));
    let finding = |handler: Handler| {
        let what = format!(
            "`{}` is no route: register it in `endpoints()` of {TABLE}, or make it private",
            handler.name
        );
        source.finding(handler.offset, what)
    };
    missing.map(finding).collect()
}

fn source(path: &str) -> Source {
    Source::new(path, &read(path).expect("the route table and the document"))
}

/// The route table, which holds something.
fn table() -> Source {
    let files = ["mod.rs", "store.rs", "admin.rs"];
    let texts = files.map(|file| read(&format!("{TABLE}/{file}")).expect("the route table"));
    let table = Source::new(TABLE, &texts.concat());
    assert!(registered(&table).len() > 10, "hardly a route was found in {TABLE}");
    table
}

#[test]
fn every_route_is_described_in_the_openapi_document() {
    let document = source(DOCUMENT);
    assert!(described(&document).len() > 10, "hardly an operation was found in {DOCUMENT}");
    none(&undescribed(&table(), &document));
}

#[test]
fn handlers_are_named_verb_and_noun() {
    none(&misnamed(&table()));
}

#[test]
fn every_handler_in_a_routes_file_is_a_route() {
    let sources = shipped().into_iter().filter(|source| {
        file_name(&source.path) == "routes.rs"
            || source.path.contains("/routes/")
            || ["src/http/exports.rs", "src/http/operations.rs"].contains(&&*source.path)
    });
    let sources: Vec<Source> = sources.collect();
    let count: usize = sources.iter().map(|source| defined(source).len()).sum();
    assert!(count > 10, "only {count} handlers were found");
    let table = table();
    hold(&sources, |source| unregistered(&table, source));
}

const TABLE_SAMPLE: &str = "vec![\n    get(\"/a\", to!(order::routes::get_order), &[]),\n    \
    post(\"/b\", to!(order::routes::order), &[]),\n    \
    get(\"/docs\", to!(operations::get_docs)),\n]";

#[test]
fn planted_routes_and_descriptions_without_each_other_are_found() {
    let table = Source::new(TABLE, TABLE_SAMPLE);
    let rule = |document: &Source| undescribed(&table, document);
    let text = "paths(\n    order::routes::get_order,\n    order::routes::pay_order,\n)";
    assert_eq!(planted(rule, DOCUMENT, text), [3, 3]);
    let text = "paths(crate::order::routes::get_order, order::routes::order)";
    assert_eq!(planted(rule, DOCUMENT, text), []);
}

#[test]
fn a_planted_handler_without_a_verb_is_found() {
    assert_eq!(planted(misnamed, TABLE, TABLE_SAMPLE), [3]);
}

#[test]
fn a_planted_handler_that_is_not_registered_is_found() {
    let table = Source::new(TABLE, TABLE_SAMPLE);
    let rule = |source: &Source| unregistered(&table, source);
    let text =
        "pub async fn get_order() {}\n/// Pays.\npub async fn pay_order() {}\nasync fn a() {}";
    assert_eq!(planted(rule, "src/order/routes.rs", text), [3]);
    assert_eq!(planted(rule, "src/payment/routes.rs", text), [1, 3]);
    assert_eq!(planted(rule, "src/http/operations.rs", "pub async fn get_docs() {}"), []);
}
