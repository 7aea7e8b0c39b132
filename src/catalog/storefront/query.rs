//! A query as a key: equal ones have equal texts.

use crate::page::Page as Listing;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What is asked of the list of products.
#[derive(Debug, Clone)]
pub(super) struct Query {
    text: Arc<str>,
    pub listing: Listing,
    /// Whether it asks for the stock, which moves without the catalog.
    pub depends_on_stock: bool,
}

impl Query {
    pub fn of(listing: &Listing) -> Self {
        let Listing { limit, after } = listing;
        let text = format!("{limit}:{}", after.unwrap_or_default().simple()).into();
        Self { text, listing: *listing, depends_on_stock: false }
    }

    /// Bytes in memory.
    pub fn weight(&self) -> u64 {
        self.text.len() as u64
    }
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Query {}

impl Hash for Query {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.text.hash(hasher);
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
