//! JSON without ambiguities: no duplicate keys, no NUL, bounded depth.

use crate::error::Problem;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Objects and arrays in each other; an order needs three.
const DEPTH_MAX: usize = 64;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer above the largest `i64`.
    Uint(u64),
    /// Written with a fraction or an exponent, or an integer beyond the others.
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

/// Parses a body.
pub(super) fn parse(body: &[u8]) -> Result<Value, Problem> {
    if body.is_empty() {
        return Err(Problem::invalid("", "the body is empty, expected a JSON object"));
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(Problem::invalid("", "the body is not UTF-8"));
    };
    let mut state = State::default();
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed = Strict(&mut state).deserialize(&mut parser);
    let parsed = parsed.and_then(|value| parser.end().map(|()| value));
    match (parsed, state.refusal) {
        (Ok(value @ Value::Object(_)), _) => Ok(value),
        (Ok(_), _) => Err(Problem::invalid("", "expected an object")),
        (Err(_), Some(refusal)) => Err(Problem::invalid(state.pointer, refusal)),
        (Err(error), None) => {
            let (line, column) = (error.line(), error.column());
            let detail = format!("the body is not valid JSON at line {line}, column {column}");
            Err(Problem::invalid("", detail))
        }
    }
}

/// Equal values have equal hashes, whatever the order of keys, the spaces and the escapes.
/// Fractions are compared as the parser's floats, which may differ in the last digit between
/// two spellings; no operation reads any.
pub(super) fn hash(value: &Value) -> [u8; 32] {
    let mut text = String::new();
    write_canonical(value, &mut text);
    Sha256::digest(text).into()
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Uint(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&canonical_float(*number)),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (key, value) in entries {
                write_text(key, out);
                out.push(':');
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

/// Only quotes and backslashes have to be told apart from the end of the text.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}

/// `1.0`, `1e0` and `1` are the same number; so are `-0` and `0`.
fn canonical_float(number: f64) -> String {
    // Exact: below these bounds a float without a fraction is an integer of that type.
    if number.fract() == 0.0 && (-TWO_POW_63..TWO_POW_63).contains(&number) {
        return (number as i64).to_string();
    }
    if number.fract() == 0.0 && (TWO_POW_63..2.0 * TWO_POW_63).contains(&number) {
        return (number as u64).to_string();
    }
    format!("{number:e}")
}

const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;

impl Value {
    /// An integer that no `i64` holds.
    pub(super) fn is_huge_integer(&self) -> bool {
        match self {
            Self::Uint(_) => true,
            Self::Float(number) => number.fract() == 0.0 && number.abs() >= TWO_POW_63,
            _ => false,
        }
    }
}

/// Where the parser is, and what it refused there.
#[derive(Default)]
struct State {
    pointer: String,
    depth: usize,
    refusal: Option<&'static str>,
}

impl State {
    /// Stops the parser; the pointer stays where it is.
    fn refuse<E: Error>(&mut self, refusal: &'static str) -> E {
        self.refusal = Some(refusal);
        E::custom(refusal)
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.refuse("nested too deeply, at most 64 levels are read"));
        }
        Ok(())
    }

    fn check_text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            return Err(self.refuse("the character U+0000 is not accepted"));
        }
        Ok(())
    }
}

/// Appends a segment to a JSON pointer (RFC 6901).
pub(super) fn push_segment(pointer: &mut String, segment: &str) {
    pointer.push('/');
    for letter in segment.chars() {
        match letter {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

struct Strict<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Uint(number), Value::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.0.check_text(text)?;
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Strict(state) = self;
        state.enter()?;
        let here = state.pointer.len();
        let mut items = Vec::new();
        loop {
            push_segment(&mut state.pointer, &items.len().to_string());
            let item = seq.next_element_seed(Strict(state))?;
            state.pointer.truncate(here);
            match item {
                Some(item) => items.push(item),
                None => break,
            }
        }
        state.depth -= 1;
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Strict(state) = self;
        state.enter()?;
        let here = state.pointer.len();
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            push_segment(&mut state.pointer, &key);
            state.check_text(&key)?;
            if entries.contains_key(&key) {
                return Err(state.refuse("given more than once"));
            }
            let value = map.next_value_seed(Strict(state))?;
            state.pointer.truncate(here);
            entries.insert(key, value);
        }
        state.depth -= 1;
        Ok(Value::Object(entries))
    }
}
