//! Dependencies: from the registry, with their checksums, under licences that `deny.toml` allows.
//! `make deny` looks closer; this runs wherever tests do.

use super::tree::{Finding, none, read};
use std::collections::BTreeSet;
use std::process::Command;

const LOCK: &str = "Cargo.lock";
const REGISTRY: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// Packages that come from elsewhere, or whose content nobody knows.
fn strangers(lock: &str) -> Vec<Finding> {
    let (mut line, mut findings) = (1, Vec::new());
    for package in lock.split("[[package]]\n") {
        let has = |key: &str| package.lines().any(|line| line.starts_with(key));
        let is_ours = !has("source = ") && !has("checksum = ");
        let is_known = package.lines().any(|line| line == REGISTRY) && has("checksum = ");
        if has("name = ") && !is_ours && !is_known {
            let what = "a dependency from elsewhere than crates.io: publish it there";
            findings.push(Finding::new(LOCK, line, what));
        }
        line += package.lines().count() + 1;
    }
    findings
}

/// The licences that `deny.toml` allows.
fn allowed(deny: &str) -> Vec<&str> {
    let list = deny.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']'));
    let list = list.map_or("", |(list, _)| list);
    list.split(',').map(|name| name.trim().trim_matches('"')).filter(|n| !n.is_empty()).collect()
}

/// Whether an SPDX expression is satisfied: `AND` binds closer than `OR`, an exception only gives.
fn is_satisfied(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let spaced = spaced.replace(" or ", " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at, allowed) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut holds = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        holds |= all_of(words, at, allowed);
    }
    holds
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut holds = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        holds &= one(words, at, allowed);
    }
    holds
}

fn one(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let holds = any_of(words, at, allowed);
        *at += 1;
        return holds;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    allowed.contains(&word)
}

#[test]
fn every_dependency_comes_from_the_registry_with_a_checksum() {
    let lock = read(LOCK).expect("Cargo.lock");
    assert!(lock.matches(REGISTRY).count() > 100, "hardly a dependency was found");
    none(&strangers(&lock));
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let deny = read("deny.toml").expect("deny.toml");
    let allowed = allowed(&deny);
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--workspace", "--locked", "--offline"]);
    tree.args(["--prefix", "none", "--format", "{p}\t{l}"]);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let packages: BTreeSet<(&str, &str)> =
        text.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('\t')).collect();
    assert!(packages.len() > 100, "hardly a dependency was found");
    let refused = packages.into_iter().filter(|(_, licence)| !is_satisfied(licence, &allowed));
    let finding = |(package, licence): (&str, &str)| {
        Finding::new("Cargo.toml", 1, format!("{package} is under {licence:?}: leave it"))
    };
    none(&refused.map(finding).collect::<Vec<_>>());
}

#[test]
fn planted_strangers_and_licences_are_found() {
    let lock = format!(
        "version = 4\n\n[[package]]\nname = \"a\"\n{REGISTRY}\nchecksum = \"0\"\n\n[[package]]\n\
         name = \"b\"\nsource = \"git+https://x.example/b\"\n\n[[package]]\nname = \"ours\"\n\n\
         [[package]]\nname = \"c\"\n{REGISTRY}\n"
    );
    assert_eq!(strangers(&lock).len(), 2, "{:?}", strangers(&lock));
    let allowed = ["MIT", "Apache-2.0"];
    for fine in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_satisfied(fine, &allowed), "{fine}");
    }
    for wrong in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND GPL-3.0", "MIT MIT"] {
        assert!(!is_satisfied(wrong, &allowed), "{wrong}");
    }
}
