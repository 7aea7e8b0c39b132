//! Rust as far as the rules need it: what is code, what is a comment, what is a literal, and
//! which code is only compiled for tests.
//!
//! The masks are as long as the text, with spaces instead of what they leave out, so that an
//! offset into one is an offset into all of them.

use super::tree::Finding;
use std::ops::Range;

/// A Rust file, taken apart.
#[derive(Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
    /// Without what stands in literals.
    pub notes: String,
    /// Without comments and what stands in literals.
    pub code: String,
    /// The code that is compiled into the server: without `#[cfg(test)]` items too.
    pub shipped: String,
    /// What stands in string literals, outside of tests.
    pub literals: Vec<Literal>,
}

/// A string literal without its quotes.
#[derive(Debug)]
pub struct Literal {
    pub offset: usize,
    pub text: String,
}

enum Kind {
    Comment,
    Char,
    Text,
}

struct Token {
    kind: Kind,
    whole: Range<usize>,
    /// Without the quotes.
    inner: Range<usize>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let tokens = tokens(text.as_bytes());
        let literals = tokens.iter().filter(|token| !matches!(token.kind, Kind::Comment));
        let notes = without(text, literals.map(|token| token.whole.clone()));
        let code = without(text, tokens.iter().map(|token| token.whole.clone()));
        let tests = match is_test(path) {
            true => std::iter::once(0..text.len()).collect(),
            false => test_items(&code),
        };
        let shipped = without(&code, tests.iter().cloned());
        let texts = tokens.iter().filter(|token| matches!(token.kind, Kind::Text));
        let literals = texts
            .filter(|token| !tests.iter().any(|test| test.contains(&token.whole.start)))
            .map(|Token { whole, inner, .. }| Literal {
                offset: whole.start,
                text: text[inner.clone()].to_owned(),
            })
            .collect();
        Self { path: path.to_owned(), text: text.to_owned(), notes, code, shipped, literals }
    }

    /// Whether the file is only compiled for tests.
    pub fn is_test(&self) -> bool {
        is_test(&self.path)
    }

    /// Whether the file is one of these, or in one of these folders (which end in a slash).
    pub fn is_among(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path == *place || place.ends_with('/') && self.path.starts_with(place)
        })
    }

    pub fn line(&self, offset: usize) -> usize {
        line(&self.text, offset)
    }

    pub fn finding(&self, offset: usize, what: impl Into<String>) -> Finding {
        Finding::new(&self.path, self.line(offset), what)
    }
}

fn is_test(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| part == "tests" || part == "tests.rs")
}

/// The line of an offset, from 1.
pub fn line(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Whether a byte may be part of a name.
pub fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `word` stands, not as a part of a longer name.
pub fn words(text: &str, word: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let joins = |a: Option<&u8>, b: Option<&u8>| {
        a.is_some_and(|a| is_name(*a)) && b.is_some_and(|b| is_name(*b))
    };
    let is_whole = |at: &usize| {
        let end = at + word.len();
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !joins(before, bytes.get(*at)) && !joins(bytes.get(end - 1), bytes.get(end))
    };
    text.match_indices(word).map(|(at, _)| at).filter(is_whole).collect()
}

/// The name that begins at an offset, after spaces.
pub fn name_at(code: &str, offset: usize) -> &str {
    let rest = code[offset..].trim_start();
    let end = rest.bytes().position(|byte| !is_name(byte)).unwrap_or(rest.len());
    &rest[..end]
}

/// The offsets of functions: of the word `fn`, but not of `fn()` types.
pub fn functions(code: &str) -> Vec<usize> {
    let mut all = words(code, "fn");
    all.retain(|at| !name_at(code, at + 2).is_empty());
    all
}

/// The braces of the item that begins at an offset, if it has any before it ends.
pub fn body(code: &str, from: usize) -> Option<Range<usize>> {
    let bytes = code.as_bytes();
    let (mut depth, mut open) = (0, None);
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' if open.is_none() => depth += 1,
            b')' | b']' if open.is_none() => depth -= 1,
            b';' if open.is_none() && depth == 0 => return None,
            b'{' if open.is_none() && depth == 0 => (open, depth) = (Some(at), 1),
            b'{' if open.is_some() => depth += 1,
            b'}' if open.is_some() => depth -= 1,
            _ => {}
        }
        if let (Some(open), 0) = (open, depth) {
            return Some(open..at + 1);
        }
    }
    None
}

/// Items behind `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mark = "#[cfg(test)]";
    let item = |(at, _): (usize, &str)| {
        let from = at + mark.len();
        let semicolon = || code[from..].find(';').map_or(code.len(), |end| from + end + 1);
        at..body(code, from).map_or_else(semicolon, |body| body.end)
    };
    code.match_indices(mark).map(item).collect()
}

/// The text with spaces instead of these ranges; lines stay where they are.
fn without(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for byte in ranges.flat_map(|range| range.into_iter()) {
        if bytes[byte] != b'\n' {
            bytes[byte] = b' ';
        }
    }
    String::from_utf8(bytes).expect("tokens begin and end between characters")
}

fn tokens(text: &[u8]) -> Vec<Token> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let Some(token) = token(text, at) else {
            at += 1;
            continue;
        };
        at = token.whole.end;
        tokens.push(token);
    }
    tokens
}

/// The comment or literal that begins at an offset.
fn token(text: &[u8], at: usize) -> Option<Token> {
    let rest = &text[at..];
    let (kind, length, quotes) = match rest {
        [b'/', b'/', ..] => (Kind::Comment, line_length(rest), (0, 0)),
        [b'/', b'*', ..] => (Kind::Comment, block_length(rest), (0, 0)),
        [b'"', ..] => (Kind::Text, text_length(rest, b'"'), (1, 1)),
        [b'\'', ..] => (Kind::Char, char_length(rest)?, (1, 1)),
        [b'r', b'"' | b'#', ..] => {
            let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
            (Kind::Text, raw_length(rest, hashes)?, (hashes + 2, hashes + 1))
        }
        _ => return None,
    };
    let end = at + length;
    let inner =
        (at + quotes.0).min(end)..end.saturating_sub(quotes.1).max(at + quotes.0).min(end);
    Some(Token { kind, whole: at..end, inner })
}

fn line_length(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

/// Block comments nest.
fn block_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn text_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Of a character; none if it is a lifetime.
fn char_length(rest: &[u8]) -> Option<usize> {
    let first = *rest.get(1)?;
    if first == b'\\' {
        return Some(text_length(rest, b'\''));
    }
    let width = match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

/// Of a raw string; none if it is a raw name.
fn raw_length(rest: &[u8], hashes: usize) -> Option<usize> {
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = [vec![b'"'], vec![b'#'; hashes]].concat();
    let inner = &rest[2 + hashes..];
    let end = inner.windows(close.len()).position(|window| window == close);
    Some(end.map_or(rest.len(), |end| 2 + hashes + end + close.len()))
}

#[test]
fn code_comments_and_literals_are_told_apart() {
    let text =
        r##"fn a<'x>(c: char) { "s\"{"; '"'; '\''; 'é'; b"}"; /* { /* } */ */ r#"q"{"# } // {"##;
    let source = Source::new("src/a.rs", text);
    let texts: Vec<&str> = source.literals.iter().map(|literal| &*literal.text).collect();
    assert_eq!(texts, [r#"s\"{"#, "}", r#"q"{"#]);
    assert_eq!(source.code.len(), text.len());
    let words: Vec<&str> = source.code.split_whitespace().collect();
    assert_eq!(words.join(" "), "fn a<'x>(c: char) { ; ; ; ; b ; }");
    assert!(source.notes.contains("/* { /* } */ */") && source.notes.ends_with("// {"));
}

#[test]
fn the_scanner_does_not_lose_its_way_in_the_tree() {
    let sources = super::tree::all_rust();
    assert!(!sources.is_empty());
    for Source { path, code, .. } in &sources {
        for [open, close] in ["{}", "()", "[]"].map(|pair| [&pair[..1], &pair[1..]]) {
            let counts = [code.matches(open).count(), code.matches(close).count()];
            assert_eq!(counts[0], counts[1], "{path}: {open} and {close} outside of literals");
        }
    }
}

#[test]
fn a_raw_name_is_not_a_raw_string() {
    let source = Source::new("src/a.rs", "let r#type = for_r; \"x\"");
    assert_eq!(source.code.trim_end(), "let r#type = for_r;");
}

#[test]
fn items_that_only_tests_compile_are_not_shipped() {
    let text = "#[cfg(test)]\nmod tests;\nfn a() {}\n#[cfg(test)]\nmod b { fn c() { \"x\"; } }\n";
    let source = Source::new("src/a.rs", text);
    assert_eq!(source.shipped.trim(), "fn a() {}");
    assert!(source.literals.is_empty() && source.code.contains("fn c()"));
    assert!(Source::new("src/json/tests.rs", "fn a() {}").shipped.trim().is_empty());
}

#[test]
fn words_are_found_whole_and_with_their_lines() {
    let source = Source::new("src/a.rs", "panic!();\ndont_panic!();\nstd::panic!();\n");
    let lines: Vec<usize> =
        words(&source.code, "panic!").into_iter().map(|at| source.line(at)).collect();
    assert_eq!(lines, [1, 3]);
}
