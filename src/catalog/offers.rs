//! What orders need to sell a line, remembered in memory.
//!
//! A remembered offer may be old. That is found out before anybody buys: whoever changes a
//! variant's price, title or status adds 1 to `stock.offer_version` in the same transaction, and
//! the commit of an order compares it. On a mismatch, forget the SKUs and ask again. What is
//! shown to people must not come from here, because nothing here gets old by itself.

use super::store;
use crate::error::Problem;
use crate::id::VariantId;
use crate::money::Money;
use crate::postgres::Postgres;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Offers that are remembered, at most.
const OFFERS_MAX: usize = 100_000;

/// What a variant is sold for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The variant.
    pub variant: VariantId,
    /// Its SKU.
    pub sku: String,
    /// Its product's title.
    pub title: String,
    /// One price per currency.
    pub prices: Vec<Money>,
    /// Grows with every change of the above.
    pub offer_version: i64,
}

/// The offers of all variants that are for sale. Cheap to clone.
#[derive(Clone)]
pub struct Offers(Arc<Inner>);

struct Inner {
    postgres: Postgres,
    known: Cache<String, Arc<Offer>>,
}

impl Offers {
    /// Nothing is remembered yet.
    pub fn new(postgres: Postgres) -> Self {
        Self(Arc::new(Inner { postgres, known: Cache::new(OFFERS_MAX) }))
    }

    /// The offers of the SKUs, in their order; none for a SKU that is unknown or not for sale,
    /// which is asked for again every time.
    pub async fn get(&self, skus: &[&str]) -> Result<Vec<Option<Arc<Offer>>>, Problem> {
        let known = &self.0.known;
        let mut offers: Vec<_> = skus.iter().map(|sku| known.get(*sku)).collect();
        if offers.iter().any(Option::is_none) {
            self.look_up(skus, &mut offers).await?;
        }
        Ok(offers)
    }

    /// Fills the gaps with one query.
    async fn look_up(
        &self,
        skus: &[&str],
        offers: &mut [Option<Arc<Offer>>],
    ) -> Result<(), Problem> {
        let gaps = skus.iter().zip(&*offers).filter(|(_, offer)| offer.is_none());
        let mut missing: Vec<&str> = gaps.map(|(sku, _)| *sku).collect();
        missing.sort_unstable();
        missing.dedup();
        let found = store::offers(&self.0.postgres.readers, &missing).await?;
        let mut found: Vec<Arc<Offer>> = found.into_iter().map(Arc::new).collect();
        found.sort_unstable_by(|a, b| a.sku.cmp(&b.sku));
        for (sku, offer) in skus.iter().zip(offers).filter(|(_, offer)| offer.is_none()) {
            let place = found.binary_search_by(|found| found.sku.as_str().cmp(sku));
            *offer = place.ok().map(|place| found[place].clone());
        }
        found.into_iter().for_each(|offer| self.0.known.insert(offer.sku.clone(), offer));
        Ok(())
    }

    /// Asks PostgreSQL again the next time.
    pub fn forget(&self, skus: &[&str]) {
        for sku in skus {
            self.0.known.remove(*sku);
        }
    }
}
