//! The fields of merge patches, as products and what is like them take them.

use super::draft::Wrong;
use super::product::Checked;
use crate::json::Field;

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
