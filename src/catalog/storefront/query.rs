//! A query as a key: equal ones have equal texts.

use crate::cache::Key;
use crate::catalog::listing::Listing;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What is asked of the list of products. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Query {
    text: Arc<str>,
    pub listing: Arc<Listing>,
}

impl Query {
    pub fn of(listing: Listing) -> Self {
        Self { text: listing.cache_key().into(), listing: Arc::new(listing) }
    }
}

impl Key for Query {
    fn weight(&self) -> u64 {
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
