//! The paths that a file names, spelled out from the crate's root.

use super::scan::{Source, is_name, words};

/// A path, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub offset: usize,
    /// `["crate", "order", "store", "find"]`, `["tokio", "spawn"]`.
    pub path: Vec<String>,
}

impl Named {
    /// Whether the path is this one, or leads through it.
    pub fn is_in(&self, start: &[&str]) -> bool {
        self.path.len() >= start.len() && self.path.iter().zip(start).all(|(a, b)| a == b)
    }

    pub fn text(&self) -> String {
        self.path.join("::")
    }
}

/// The module of a file: `src/order/store/read.rs` is `["crate", "order", "store", "read"]`.
pub fn module(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.trim_end_matches("/mod");
    let parts = path.split('/').filter(|part| !["lib", "main"].contains(part));
    ["crate"].into_iter().chain(parts).map(str::to_owned).collect()
}

/// All paths in the shipped code of a file. `super` is taken from the file: inline modules that
/// are no tests would be one deeper.
pub fn named(source: &Source) -> Vec<Named> {
    let module = module(&source.path);
    let mut code = source.shipped.clone();
    let mut found = Vec::new();
    for at in words(&source.shipped, "use") {
        let from = at + "use".len();
        let rest = &source.shipped[from..];
        // `use<'a>` in a type is no import.
        if let Some(end) = rest.find(';').filter(|_| !rest.starts_with('<')) {
            expand(&rest[..end], from, "", &mut found);
            code.replace_range(at..from + end, &" ".repeat(from + end - at));
        }
    }
    found.extend(spelled_out(&code));
    let named = |(offset, path): (usize, String)| Named { offset, path: resolve(&module, &path) };
    let mut named: Vec<Named> = found.into_iter().map(named).collect();
    named.sort_by_key(|named| named.offset);
    named
}

/// The paths of a `use` tree.
fn expand(tree: &str, offset: usize, prefix: &str, found: &mut Vec<(usize, String)>) {
    let mut start = 0;
    for part in split(tree) {
        if let (Some(open), Some(close)) = (part.find('{'), part.rfind('}')) {
            let prefix = format!("{prefix}{}", part[..open].trim());
            expand(&part[open + 1..close], offset + start + open + 1, &prefix, found);
        } else if let Some(name) = part.split_whitespace().next() {
            let blank = part.len() - part.trim_start().len();
            found.push((offset + start + blank, format!("{prefix}{name}")));
        }
        start += part.len() + 1;
    }
}

/// Splits at the commas that stand in no braces.
fn split(tree: &str) -> Vec<&str> {
    let mut depth = 0;
    let is_end = |letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    };
    tree.split(is_end).collect()
}

/// Paths outside of imports: names joined by `::`.
fn spelled_out(code: &str) -> Vec<(usize, String)> {
    let bytes = code.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if !is_name(bytes[at]) {
            at += 1;
            continue;
        }
        let is_path = |at: usize| is_name(bytes[at]) || bytes[at] == b':';
        let end = (at..bytes.len()).find(|at| !is_path(*at)).unwrap_or(bytes.len());
        let path = code[at..end].trim_end_matches(':');
        if path.contains("::") {
            found.push((at, path.to_owned()));
        }
        at = end;
    }
    found
}

/// From the root, if the path begins with `self` or `super`.
fn resolve(module: &[String], path: &str) -> Vec<String> {
    let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
    let supers = parts.iter().take_while(|part| **part == "super").count();
    let is_self = parts.first() == Some(&"self");
    if parts.last() == Some(&"self") && !is_self {
        parts.pop();
    }
    let parts = parts.iter().map(|part| (*part).to_owned());
    if supers == 0 && !is_self {
        return parts.collect();
    }
    let base = &module[..module.len().saturating_sub(supers)];
    base.iter().cloned().chain(parts.skip(supers + usize::from(is_self))).collect()
}

#[test]
fn imports_and_paths_are_spelled_out_from_the_root() {
    let text = "use super::super::order::{self, State as S, b::{c, d}};\nuse tokio;\n\
                pub use self::trips::Keys;\nfn a() -> impl Fn() + use<> {\n    \
                super::find(std::mem::take::<u8>(), crate::page::List { a: 1 })\n}\n";
    let named = named(&Source::new("src/order/store/read.rs", text));
    let texts: Vec<String> = named.iter().map(Named::text).collect();
    let expected = [
        "crate::order::order",
        "crate::order::order::State",
        "crate::order::order::b::c",
        "crate::order::order::b::d",
        "tokio",
        "crate::order::store::read::trips::Keys",
        "crate::order::store::find",
        "std::mem::take",
        "crate::page::List",
    ];
    assert_eq!(texts, expected);
    assert!(named[1].is_in(&["crate", "order"]) && !named[4].is_in(&["tokio", "spawn"]));
}

#[test]
fn a_file_knows_which_module_it_is() {
    assert_eq!(module("src/order/mod.rs"), ["crate", "order"]);
    assert_eq!(module("src/order/store/read.rs"), ["crate", "order", "store", "read"]);
    assert_eq!(module("src/lib.rs"), ["crate"]);
}
