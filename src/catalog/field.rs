//! A field of a merge patch (RFC 7396), which tells `null` from what is left out.

use super::draft::Wrong;
use super::product::Checked;
use serde::{Deserialize, Deserializer};

/// A field of a merge patch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Left out: nothing changes.
    #[default]
    Absent,
    /// `null`: back to nothing, if there is such a thing.
    Null,
    /// The new value.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

impl<T> Field<T> {
    /// The new value of a field that may be without one.
    pub fn optional(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// The new value of a field that has something to go back to.
    pub fn or_default(self) -> Option<T>
    where
        T: Default,
    {
        self.optional().map(Option::unwrap_or_default)
    }
}

impl Wrong {
    /// The new value of a field that must have one.
    pub fn required<T>(&mut self, pointer: &str, field: Field<T>) -> Option<T> {
        self.unless(!matches!(field, Field::Null), pointer, "must have a value");
        field.optional().flatten()
    }

    /// Puts the new value of a field that must have one into its place.
    pub fn replace<T, U>(
        &mut self,
        pointer: &str,
        field: Field<T>,
        place: &mut U,
        check: impl FnOnce(&T) -> Checked<U>,
    ) {
        let value = self.required(pointer, field);
        if let Some(value) = value.and_then(|value| self.note(pointer, check(&value))) {
            *place = value;
        }
    }
}
