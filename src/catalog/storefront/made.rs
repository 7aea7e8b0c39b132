//! Products that have been serialised, each in the version that was read last.

use crate::catalog::product::Product;
use crate::catalog::store::shown::Counts;
use crate::catalog::template::Template;
use crate::error::Problem;
use crate::id::ProductId;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes of a template beside its parts, about.
const OVERHEAD: u64 = 128;

/// Templates by product, bounded by weight.
pub(super) struct Made(Cache<ProductId, Arc<Template>, Weigh>);

#[derive(Clone)]
struct Weigh;

impl Weighter<ProductId, Arc<Template>> for Weigh {
    fn weight(&self, _: &ProductId, template: &Arc<Template>) -> u64 {
        OVERHEAD + template.weight() as u64
    }
}

impl Made {
    pub fn new(bytes_max: u64) -> Self {
        // The number is only a hint for the size of the tables.
        let templates = (bytes_max / 2048).clamp(32, 1 << 20) as usize;
        Self(Cache::with_weighter(templates, bytes_max, Weigh))
    }

    /// The bytes of a product that has these counts, if that version has been serialised.
    pub fn fill(&self, counts: &Counts) -> Option<Bytes> {
        self.0.get(&counts.product)?.fill(counts.version, &counts.available)
    }

    /// Serialises a product.
    pub fn make(&self, product: &Product) -> Result<Bytes, Problem> {
        let template = Template::of(product).map_err(Problem::internal)?;
        let available: Vec<i64> = product.variants.iter().map(|v| v.available).collect();
        let bytes = template.fill(product.version, &available);
        self.0.insert(product.id, Arc::new(template));
        bytes.ok_or_else(|| Problem::internal("a template does not fit its own product"))
    }
}
