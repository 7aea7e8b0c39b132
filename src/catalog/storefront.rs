//! What the store shows.

use crate::id::{ProductId, VariantId};

/// What the store shows, and who is told when it changes. Cheap to clone.
#[derive(Clone, Default)]
pub struct Storefront;

impl Storefront {
    /// These products, or the catalog around them, changed in a committed transaction. Once this
    /// returns, this instance shows nothing older.
    pub async fn changed(&self, _products: &[ProductId]) {}

    /// The stock of these variants was adjusted in a committed transaction.
    pub async fn restocked(&self, _variants: &[VariantId]) {}
}
