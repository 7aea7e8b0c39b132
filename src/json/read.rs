//! From a JSON value to an operation's type, with errors in the API's own words.
//!
//! A wrong shape (type, unknown or missing field) is `invalid_request`; the right type with a
//! value that the field's own type refuses is `validation_failed`.

use super::value::{Value, push_segment};
use crate::error::{Code, FieldError, Problem};
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Expected, Unexpected};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::collections::{BTreeMap, btree_map};
use std::fmt;

/// Reads a whole body.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    T::deserialize(Node(value)).map_err(Fault::into_problem)
}

/// What is wrong and where; the path is gathered from the inside out.
#[derive(Debug)]
struct Fault {
    code: Code,
    path: Vec<String>,
    detail: String,
}

impl Fault {
    fn shape(detail: impl Into<String>) -> Self {
        Self { code: Code::InvalidRequest, path: Vec::new(), detail: detail.into() }
    }

    fn value(detail: impl Into<String>) -> Self {
        Self { code: Code::ValidationFailed, ..Self::shape(detail) }
    }

    fn within(mut self, segment: impl Into<String>) -> Self {
        self.path.push(segment.into());
        self
    }

    fn into_problem(self) -> Problem {
        let mut pointer = String::new();
        for segment in self.path.iter().rev() {
            push_segment(&mut pointer, segment);
        }
        Problem::of_fields(self.code, vec![FieldError::new(pointer, self.detail)])
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

/// What serde would say names Rust types; only a type's own words (`custom`) are passed on.
impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::value(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::shape("has the wrong type")
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::value("is not an accepted value")
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::shape("has the wrong number of elements")
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::value(format!("must be one of {}", known.join(", ")))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let detail = match known {
            [] => "unknown field; none are known here".to_owned(),
            known => format!("unknown field; known are {}", known.join(", ")),
        };
        Self::shape(detail).within(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::shape("is required").within(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::shape("given more than once").within(field)
    }
}

/// A value on its way into a type.
#[derive(Clone, Copy)]
struct Node<'v>(&'v Value);

/// The integers of the API are those of `i64`, whatever the field's own type.
macro_rules! integers {
    ($($method:ident $visit:ident $type:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let number = integer(self.0)?;
            match $type::try_from(number) {
                Ok(number) => visitor.$visit(number),
                Err(_) => {
                    let (least, most) = ($type::MIN, i64::try_from($type::MAX));
                    let most = most.unwrap_or(i64::MAX);
                    Err(Fault::value(format!("must be from {least} to {most}")))
                }
            }
        }
    )+};
}

/// Up to 2^53 every integer has a float of its own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

fn integer(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Int(number) => Ok(*number),
        // JSON has one kind of number: `2.0` and `2e0` are the integer 2. Beyond, floats have gaps.
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT_MAX => {
            Ok(*number as i64)
        }
        other if other.is_huge_integer() => {
            Err(Fault::shape(format!("expected an integer from {} to {}", i64::MIN, i64::MAX)))
        }
        _ => Err(Fault::shape("expected an integer")),
    }
}

impl<'de> Node<'de> {
    fn text(self) -> Result<&'de str, Fault> {
        match self.0 {
            Value::Text(text) => Ok(text),
            _ => Err(Fault::shape("expected a string")),
        }
    }

    fn object(self) -> Result<&'de BTreeMap<String, Value>, Fault> {
        match self.0 {
            Value::Object(entries) => Ok(entries),
            _ => Err(Fault::shape("expected an object")),
        }
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Fault;

    integers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Uint(number) => visitor.visit_u64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(entries) => visitor.visit_map(Entries::new(entries)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Bool(flag) => visitor.visit_bool(*flag),
            _ => Err(Fault::shape("expected true or false")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Int(_) | Value::Uint(_) | Value::Float(_) => self.deserialize_any(visitor),
            _ => Err(Fault::shape("expected a number")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            _ => Err(Fault::shape("expected null")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            _ => Err(Fault::shape("expected an array")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::List(items) if items.len() == length => self.deserialize_seq(visitor),
            _ => Err(Fault::shape(format!("expected an array of {length} elements"))),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(Entries::new(self.object()?))
    }

    /// Only objects, and no unknown fields: types need not ask for it one by one.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entries = self.object()?;
        match entries.keys().find(|key| !fields.contains(&key.as_str())) {
            Some(unknown) => Err(serde::de::Error::unknown_field(unknown, fields)),
            None => visitor.visit_map(Entries::new(entries)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.text()?))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bytes byte_buf unit_struct identifier }
}

struct Items<'v>(std::iter::Enumerate<std::slice::Iter<'v, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<S>(&mut self, seed: S) -> Result<Option<S::Value>, Fault>
    where
        S: DeserializeSeed<'de>,
    {
        let Some((index, value)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Node(value)).map(Some).map_err(|fault| fault.within(index.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'v> {
    rest: btree_map::Iter<'v, String, Value>,
    /// The entry whose key was read last.
    current: Option<(&'v String, &'v Value)>,
}

impl<'v> Entries<'v> {
    fn new(entries: &'v BTreeMap<String, Value>) -> Self {
        Self { rest: entries.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<S>(&mut self, seed: S) -> Result<Option<S::Value>, Fault>
    where
        S: DeserializeSeed<'de>,
    {
        self.current = self.rest.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        let read = seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some);
        // An unknown field names itself, a map's key does not.
        read.map_err(|fault: Fault| if fault.path.is_empty() { fault.within(key) } else { fault })
    }

    fn next_value_seed<S>(&mut self, seed: S) -> Result<S::Value, Fault>
    where
        S: DeserializeSeed<'de>,
    {
        let Some((key, value)) = self.current.take() else {
            return Err(Fault::shape("has the wrong type"));
        };
        seed.deserialize(Node(value)).map_err(|fault| fault.within(key))
    }
}
