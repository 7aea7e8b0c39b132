//! Inside a feature dependencies run one way, rules → store → actor → routes, and rules are pure:
//! time, ids and chance come in as arguments.

use super::layers::Map;
use super::paths::{Named, named};
use super::scan::{Source, words};
use super::tree::{Finding, hold, planted, shipped};

/// What a file does in its feature. All that are not named here are rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// What others may use.
    Mod,
    Rules,
    Store,
    Actor,
    Routes,
    /// Puts rules and store to work: import, offers, desk, reaper, demo, passwords …
    Worker,
    /// Talks to a payment provider, so it waits and knows the clock.
    Provider,
}

fn role(source: &Source) -> Role {
    let part = source.path.split('/').nth(2).unwrap_or("mod.rs");
    match part.trim_end_matches(".rs") {
        "mod" => Role::Mod,
        "store" => Role::Store,
        "actor" => Role::Actor,
        "routes" => Role::Routes,
        "import" | "offers" | "reaper" | "demo" | "storefront" | "desk" | "passwords"
        | "eraser" | "credentials" | "invitation" | "logins" => Role::Worker,
        _ if source.shipped.contains("impl PaymentProvider for") => Role::Provider,
        _ => Role::Rules,
    }
}

/// The libraries of the world outside. Their types in a rule mean that it waits or asks.
const OUTSIDE: &[&str] = &[
    "actix",
    "actix_web",
    "deadpool_postgres",
    "redis",
    "reqwest",
    "tokio",
    "tokio_postgres",
    "rand",
];

/// Our own parts that wait or ask.
const OUTSIDE_MODULES: &[&str] = &["journal", "postgres", "redis", "supervisor"];

fn rules_are_pure(source: &Source) -> Vec<Finding> {
    if role(source) != Role::Rules {
        return Vec::new();
    }
    let mend = "a rule is pure: decide on plain data, and let store, actor or routes bring it";
    let is_outside = |named: &Named| {
        let inside = named.is_in(&["crate"]) && named.path.len() > 1;
        match inside {
            true => OUTSIDE_MODULES.contains(&&*named.path[1]),
            false => OUTSIDE.contains(&&*named.path[0]),
        }
    };
    let imports = named(source).into_iter().filter(is_outside);
    let imports =
        imports.map(|named| source.finding(named.offset, format!("`{}`: {mend}", named.text())));
    let mut findings: Vec<Finding> = imports.collect();
    let calls = ["now_utc(", "Instant::now", "SystemTime::now", "now_v7", "now_v4", "random("];
    let mend = "a rule is pure: take the time or the id as an argument";
    for call in calls {
        let what = format!("`{call}`: {mend}");
        let found = words(&source.shipped, call).into_iter();
        findings.extend(found.map(|at| source.finding(at, what.clone())));
    }
    // `OrderId::new()`, and the function itself handed to somebody.
    let new_ids = named(source).into_iter().filter(|named| match &named.path[..] {
        [.., kind, new] => kind.ends_with("Id") && new == "new",
        _ => false,
    });
    let what = format!("makes an id: {mend}");
    findings.extend(new_ids.map(|named| source.finding(named.offset, what.clone())));
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// Parts of a feature that a file of that role may not use, its own and other features'.
fn later_parts(role: Role) -> &'static [&'static str] {
    match role {
        Role::Mod | Role::Routes => &[],
        Role::Rules | Role::Provider => &["store", "actor", "routes"],
        Role::Store => &["actor", "routes"],
        Role::Actor | Role::Worker => &["routes"],
    }
}

fn parts_use_earlier_parts(map: &Map, source: &Source) -> Vec<Finding> {
    let role = role(source);
    let finding = |named: Named| {
        let [root, feature, part, ..] = &named.path[..] else { return None };
        let is_part = root == "crate" && map.is_feature(&format!("src/{feature}/mod.rs"));
        let what = format!(
            "`{}`: {role:?} may not use `{part}`; dependencies run rules → store → actor → routes",
            named.text()
        );
        let is_later = is_part && later_parts(role).contains(&&**part);
        is_later.then(|| source.finding(named.offset, what))
    };
    named(source).into_iter().filter_map(finding).collect()
}

fn actix_web_is_for_routes(source: &Source) -> Vec<Finding> {
    if role(source) == Role::Routes {
        return Vec::new();
    }
    let what = "`actix_web` in a feature is for its `routes.rs`: hand plain values on";
    words(&source.shipped, "actix_web").into_iter().map(|at| source.finding(at, what)).collect()
}

fn features(map: &Map) -> Vec<Source> {
    shipped().into_iter().filter(|source| map.is_feature(&source.path)).collect()
}

#[test]
fn rules_know_no_clock_and_no_outside_world() {
    let sources = features(&Map::read());
    let rules = sources.into_iter().filter(|source| role(source) == Role::Rules);
    hold(&rules.collect::<Vec<_>>(), rules_are_pure);
}

#[test]
fn each_part_of_a_feature_uses_only_earlier_parts() {
    let map = Map::read();
    let sources = features(&map);
    for wanted in [Role::Rules, Role::Store, Role::Actor, Role::Routes] {
        assert!(sources.iter().any(|source| role(source) == wanted), "no {wanted:?} was found");
    }
    hold(&sources, |source| parts_use_earlier_parts(&map, source));
}

#[test]
fn features_speak_http_only_in_their_routes() {
    hold(&features(&Map::read()), actix_web_is_for_routes);
}

#[test]
fn a_planted_impure_rule_is_found() {
    let text = "use super::order::Order;\nuse tokio::sync::oneshot;\nuse std::time::Instant;\n\
                fn a() {\n    Instant::now();\n    OffsetDateTime::now_utc();\n    \
                rand::random::<u8>();\n    b(LineId::new);\n    deadpool_postgres::Pool::x();\n}\n\
                use crate::postgres::Postgres;\nuse crate::id::OrderId;\n\
                #[cfg(test)]\nmod tests { fn c() { Instant::now(); } }\n";
    let found = [2, 5, 6, 7, 8, 9, 11];
    assert_eq!(planted(rules_are_pure, "src/order/decide.rs", text), found);
    for path in ["src/order/actor.rs", "src/order/store/read.rs", "src/order/mod.rs"] {
        assert_eq!(planted(rules_are_pure, path, text), [], "{path}");
    }
    let provider = format!("{text}impl PaymentProvider for Card {{}}\n");
    assert_eq!(planted(rules_are_pure, "src/payment/card.rs", &provider), []);
}

#[test]
fn a_planted_use_of_a_later_part_is_found() {
    let map = Map::of("// Features.\npub mod inventory;\npub mod order;\n");
    let rule = |source: &Source| parts_use_earlier_parts(&map, source);
    let text = "use crate::inventory::store::levels;\nuse crate::order::{actor::Desk, routes};\n";
    assert_eq!(planted(rule, "src/order/decide.rs", text), [1, 2, 2]);
    assert_eq!(planted(rule, "src/order/store/read.rs", text), [2, 2]);
    assert_eq!(planted(rule, "src/order/actor.rs", text), [2]);
    assert_eq!(planted(rule, "src/order/routes.rs", text), []);
    assert_eq!(planted(rule, "src/order/store/mod.rs", "use super::routes;\n"), [1]);
    assert_eq!(planted(rule, "src/order/pricing.rs", "use super::{order, store};\n"), [1]);
}

#[test]
fn planted_http_outside_of_routes_is_found() {
    let text = "use actix_web::web;\nfn a() { actix_web::rt::spawn(b); }\n";
    assert_eq!(planted(actix_web_is_for_routes, "src/order/actor.rs", text), [1, 2]);
    assert_eq!(planted(actix_web_is_for_routes, "src/order/routes.rs", text), []);
}
