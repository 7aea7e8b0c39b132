//! Who may use what: features only those before them, the platform no feature.

use super::paths::{Named, named};
use super::scan::Source;
use super::tree::{Finding, hold, planted, read, shipped};
use crate::OPEN_REGISTERS;

/// The module list of `src/lib.rs`, by its comments.
#[derive(Debug, Default)]
pub struct Map {
    registers: Vec<String>,
    platform: Vec<String>,
    features: Vec<String>,
}

impl Map {
    pub fn of(lib: &str) -> Self {
        let mut map = Self::default();
        let mut list = None;
        for line in lib.lines().map(str::trim) {
            if line.starts_with("// Registers") {
                list = Some(&mut map.registers);
            } else if line.starts_with("// Platform") {
                list = Some(&mut map.platform);
            } else if line.starts_with("// Features") {
                list = Some(&mut map.features);
            } else if let (Some(list), Some(name)) = (&mut list, line.strip_prefix("pub mod ")) {
                list.push(name.trim_end_matches(';').to_owned());
            }
        }
        map
    }

    pub fn read() -> Self {
        let map = Self::of(&read("src/lib.rs").expect("src/lib.rs"));
        let lists = [&map.registers, &map.platform, &map.features];
        assert!(lists.iter().all(|list| list.len() > 2), "the blocks of src/lib.rs: {map:?}");
        map
    }

    /// The feature of a file, and its place in the order.
    fn feature(&self, path: &str) -> Option<usize> {
        let name = top(path);
        self.features.iter().position(|feature| feature == name)
    }

    pub fn is_feature(&self, path: &str) -> bool {
        self.feature(path).is_some()
    }
}

/// The module at the top of the crate that a file belongs to.
fn top(path: &str) -> &str {
    let below = path.trim_start_matches("src/");
    below.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// What a path names at the top of the crate.
fn target(named: &Named) -> Option<&str> {
    named.is_in(&["crate"]).then(|| named.path.get(1)).flatten().map(String::as_str)
}

fn features_use_those_before(map: &Map, source: &Source) -> Vec<Finding> {
    let Some(own) = map.feature(&source.path) else { return Vec::new() };
    let finding = |named: Named| {
        let target =
            map.features.iter().position(|feature| Some(&**feature) == target(&named))?;
        let what = format!(
            "`{}`: src/lib.rs lists `{}` after `{}`, and a feature uses only those before it: \
             turn the dependency round, or move the feature up in the list",
            named.text(),
            map.features[target],
            map.features[own],
        );
        (target > own).then(|| source.finding(named.offset, what))
    };
    named(source).into_iter().filter_map(finding).collect()
}

fn platform_knows_no_feature(map: &Map, source: &Source) -> Vec<Finding> {
    let is_platform = map.platform.iter().any(|module| module == top(&source.path));
    let finding = |named: Named| {
        let is_feature = map.features.iter().any(|feature| Some(&**feature) == target(&named));
        let what = format!(
            "`{}`: the platform knows no feature: take what is needed as an argument or a trait",
            named.text()
        );
        (is_platform && is_feature).then(|| source.finding(named.offset, what))
    };
    named(source).into_iter().filter_map(finding).collect()
}

/// Registers use features, so nobody below uses them. A store's list of invariants is written in
/// the words of `verify`, so that the statement stands beside the tables it is about.
fn registers_stay_on_top(map: &Map, source: &Source) -> Vec<Finding> {
    if map.registers.iter().any(|register| register == top(&source.path)) {
        return Vec::new();
    }
    let is_store = source.path.split('/').any(|part| part.trim_end_matches(".rs") == "store");
    let finding = |named: Named| {
        let register = map.registers.iter().find(|name| Some(&***name) == target(&named))?;
        let is_open = OPEN_REGISTERS.contains(&&**register)
            || is_store && named.is_in(&["crate", "verify", "Check"]);
        let what = format!(
            "`{}`: `{register}` is a register, which uses the others and not the reverse: take \
             what is needed as an argument",
            named.text()
        );
        (!is_open).then(|| source.finding(named.offset, what))
    };
    named(source).into_iter().filter_map(finding).collect()
}

/// The files of those modules that the map lists.
fn mapped(map: &Map) -> Vec<Source> {
    let lists = [&map.registers, &map.platform, &map.features];
    let is_listed = |path: &str| lists.iter().any(|list| list.iter().any(|m| m == top(path)));
    shipped().into_iter().filter(|source| is_listed(&source.path)).collect()
}

#[test]
fn a_feature_uses_only_features_before_it() {
    let map = Map::read();
    hold(&mapped(&map), |source| features_use_those_before(&map, source));
}

#[test]
fn the_platform_knows_no_feature_at_all() {
    let map = Map::read();
    hold(&mapped(&map), |source| platform_knows_no_feature(&map, source));
}

#[test]
fn nobody_below_uses_a_register() {
    let map = Map::read();
    hold(&mapped(&map), |source| registers_stay_on_top(&map, source));
}

#[test]
fn every_module_has_its_place_on_the_map() {
    let map = Map::read();
    let (listed, all) = (mapped(&map).len(), shipped().len());
    // The rest is the list itself and the command line, which is a crate of its own.
    let unlisted = shipped().into_iter().filter(|source| {
        source.path == "src/lib.rs" || source.path == "src/main.rs" || top(&source.path) == "cli"
    });
    assert_eq!(listed + unlisted.count(), all, "a module stands in no block of src/lib.rs");
}

const SAMPLE: &str = "//! A map.\n// Registers: a few lines.\npub mod app;\npub mod metrics;\n\
    pub mod verify;\n\n// Platform.\npub mod money;\n\n// Features.\npub mod catalog;\n\
    pub mod order;\npub mod payment;\n";

#[test]
fn a_planted_use_of_a_later_feature_is_found() {
    let map = Map::of(SAMPLE);
    let rule = |source: &Source| features_use_those_before(&map, source);
    let text = "use crate::catalog::Offer;\nuse crate::{money, payment::Terms};\n\
                fn a(b: crate::payment::Answer) {}\n#[cfg(test)]\nuse crate::payment::Test;\n";
    assert_eq!(planted(rule, "src/order/decide.rs", text), [2, 3]);
    assert_eq!(planted(rule, "src/payment/mod.rs", text), []);
    assert_eq!(planted(rule, "src/app.rs", text), []);
}

#[test]
fn a_planted_feature_in_the_platform_is_found() {
    let map = Map::of(SAMPLE);
    let rule = |source: &Source| platform_knows_no_feature(&map, source);
    let text = "use crate::metrics;\nuse crate::order::Order;\n";
    assert_eq!(planted(rule, "src/money.rs", text), [2]);
    assert_eq!(planted(rule, "src/money/parse.rs", text), [2]);
    assert_eq!(planted(rule, "src/app.rs", text), []);
}

#[test]
fn a_planted_register_below_is_found() {
    let map = Map::of(SAMPLE);
    let rule = |source: &Source| registers_stay_on_top(&map, source);
    let text = "use crate::metrics;\nuse crate::verify::Check;\nuse crate::verify::run;\n\
                use crate::app::App;\n";
    assert_eq!(planted(rule, "src/money.rs", text), [2, 3, 4]);
    assert_eq!(planted(rule, "src/order/decide.rs", text), [2, 3, 4]);
    assert_eq!(planted(rule, "src/order/store/checks.rs", text), [3, 4]);
    assert_eq!(planted(rule, "src/app.rs", text), []);
}
