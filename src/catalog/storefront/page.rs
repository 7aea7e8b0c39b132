//! Lists made of the bytes of their products, and kept as long as nothing in the store changes.

use super::query::Query;
use crate::cache::{Cached, Key, Moment, etag};
use crate::catalog::store::shown::Found;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes of a page beside its body, about.
const OVERHEAD: u64 = 256;

/// `{"items":[…],"next_cursor":…,"facets":…}`, without reading the items again.
pub(super) fn compose(found: &Cached, list: &Found, items: &[Cached]) -> Cached {
    // A text as JSON has no way to fail.
    let cursor = serde_json::to_string(&list.next_cursor).unwrap_or_default();
    let facets = list.facets.as_deref().map(|facets| format!(",\"facets\":{facets}"));
    let size: usize = items.iter().map(|item| item.body.len() + 1).sum();
    let rest = 64 + cursor.len() + facets.as_ref().map_or(0, String::len);
    let mut body = Vec::with_capacity(size + rest);
    body.extend_from_slice(b"{\"items\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&item.body);
    }
    body.extend_from_slice(b"],\"next_cursor\":");
    body.extend_from_slice(cursor.as_bytes());
    body.extend_from_slice(facets.unwrap_or_default().as_bytes());
    body.push(b'}');
    let parts = items.iter().chain([found]);
    let tags: Vec<u8> = parts.flat_map(|part| part.etag.as_bytes()).copied().collect();
    let is_stale = found.is_stale || items.iter().any(|item| item.is_stale);
    Cached { body: Bytes::from(body), etag: etag(&tags), is_stale, ..found.clone() }
}

/// Composed pages.
pub(super) struct Pages(Cache<Query, Arc<Page>, Weigh>);

struct Page {
    cached: Cached,
    /// Of the products when it was composed.
    revision: u64,
    /// When its oldest part should be read again.
    until: Moment,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Query, Arc<Page>> for Weigh {
    fn weight(&self, query: &Query, page: &Arc<Page>) -> u64 {
        OVERHEAD + query.weight() + page.cached.body.len() as u64
    }
}

impl Pages {
    pub fn new(bytes_max: u64) -> Self {
        // The number is only a hint for the size of the tables.
        let pages = (bytes_max / 16_384).clamp(32, 100_000) as usize;
        Self(Cache::with_weighter(pages, bytes_max, Weigh))
    }

    /// The page, if it is what would be composed now.
    pub fn get(&self, query: &Query, revision: Option<u64>) -> Option<Cached> {
        let page = self.0.get(query)?;
        let is_current = Some(page.revision) == revision && Moment::now() < page.until;
        is_current.then(|| page.cached.clone())
    }

    /// Keeps a page that was composed after the products had this revision. If they have moved
    /// since, nobody will ask for it.
    pub fn keep(&self, query: Query, page: &Cached, revision: Option<u64>, until: Moment) {
        let Some(revision) = revision.filter(|_| !page.is_stale) else { return };
        self.0.insert(query, Arc::new(Page { cached: page.clone(), revision, until }));
    }
}
