//! What orders and carts need to sell a line, remembered in memory.
//!
//! For orders a remembered offer may be of any age. That is found out before anybody buys: whoever
//! changes a variant's price, title or status adds 1 to `stock.offer_version` in the same
//! transaction, and the commit of an order compares it. On a mismatch, forget the SKUs and ask
//! again. What is shown to people comes from [`Offers::current`], which is never older than a
//! moment.

use super::store;
use crate::error::Problem;
use crate::gather::{Gather, Limits};
use crate::id::VariantId;
use crate::money::Money;
use crate::postgres::Postgres;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Offers that are remembered, at most.
const OFFERS_MAX: usize = 100_000;
/// How long an offer is current, from the start of its read. With the way to the client it stays
/// below a second.
const CURRENT: Duration = Duration::from_millis(700);
const LIMITS: Limits =
    Limits { keys_max: 2_000, waiting_max: 100_000, read_max: Duration::from_secs(2) };

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
    /// Whether it is for sale; carts still show what no longer is.
    pub is_sold: bool,
}

/// How a client names a variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// By its SKU.
    Sku(String),
    /// By its id.
    Id(VariantId),
}

/// The offers of all variants. Cheap to clone.
#[derive(Clone)]
pub struct Offers {
    memory: Arc<Memory>,
    reads: Gather<Name, Arc<Offer>>,
}

impl Offers {
    /// Nothing is remembered yet.
    pub fn new(postgres: Postgres) -> Self {
        let memory = Arc::new(Memory::new());
        let (kept, readers) = (memory.clone(), postgres.readers.clone());
        let reads = Gather::start(postgres.runtime(), LIMITS, move |names: Vec<Name>| {
            let (memory, readers) = (kept.clone(), readers.clone());
            async move {
                let (round, at) = (memory.round(), Instant::now());
                let found = store::offers(&readers, &names).await?;
                let found: Vec<Arc<Offer>> = found.into_iter().map(Arc::new).collect();
                memory.remember(&found, round, at);
                Ok(found.into_iter().flat_map(named).collect())
            }
        });
        Self { memory, reads }
    }

    /// The offers of the SKUs, in their order; none for a SKU that is unknown or not for sale,
    /// which is asked for again every time. May be of any age.
    pub async fn get(&self, skus: &[&str]) -> Result<Vec<Option<Arc<Offer>>>, Problem> {
        let mut offers: Vec<_> = skus.iter().map(|sku| self.memory.sold(sku)).collect();
        let gaps = skus.iter().zip(&offers).filter(|(_, offer)| offer.is_none());
        let missing: Vec<Name> = gaps.map(|(sku, _)| Name::Sku((*sku).to_owned())).collect();
        if !missing.is_empty() {
            let found = self.reads.get_all(missing).await?;
            for (sku, offer) in skus.iter().zip(&mut offers).filter(|(_, offer)| offer.is_none())
            {
                let found = found.get(&Name::Sku((*sku).to_owned()));
                *offer = found.filter(|offer| offer.is_sold).cloned();
            }
        }
        Ok(offers)
    }

    /// The offers of these variants as they were a moment ago, also of those that are not for sale
    /// any more; unknown ones are left out.
    pub async fn current(&self, names: Vec<Name>) -> Result<HashMap<Name, Arc<Offer>>, Problem> {
        let now = Instant::now();
        let (mut offers, mut missing) = (HashMap::with_capacity(names.len()), Vec::new());
        for name in names {
            match self.memory.current(&name, now) {
                Some(offer) => drop(offers.insert(name, offer)),
                None => missing.push(name),
            }
        }
        if !missing.is_empty() {
            offers.extend(self.reads.get_all(missing).await?);
        }
        Ok(offers)
    }

    /// The same by id alone.
    pub async fn current_by_id(
        &self,
        ids: impl IntoIterator<Item = VariantId>,
    ) -> Result<HashMap<VariantId, Arc<Offer>>, Problem> {
        let offers = self.current(ids.into_iter().map(Name::Id).collect()).await?;
        Ok(offers.into_values().map(|offer| (offer.variant, offer)).collect())
    }

    /// Asks PostgreSQL again the next time.
    pub fn forget(&self, skus: &[&str]) {
        let ids = skus.iter().filter_map(|sku| self.memory.ids.get(*sku));
        self.forget_variants(&ids.collect::<Vec<_>>());
    }

    /// These variants changed in a committed transaction: once this returns, nobody here gets
    /// anything older.
    pub fn forget_variants(&self, variants: &[VariantId]) {
        self.memory.forget(variants);
    }
}

/// The offer under both of its names.
fn named(offer: Arc<Offer>) -> [(Name, Arc<Offer>); 2] {
    [(Name::Sku(offer.sku.clone()), offer.clone()), (Name::Id(offer.variant), offer)]
}

/// What was read, and when.
struct Memory {
    offers: Cache<VariantId, (Arc<Offer>, Instant)>,
    ids: Cache<String, VariantId>,
    /// How often something was forgotten: a read from before it is not remembered after it.
    round: RwLock<u64>,
}

impl Memory {
    fn new() -> Self {
        let (offers, ids) = (Cache::new(OFFERS_MAX), Cache::new(OFFERS_MAX));
        Self { offers, ids, round: RwLock::new(0) }
    }

    fn round(&self) -> u64 {
        *self.round.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, offers: &[Arc<Offer>], round: u64, at: Instant) {
        let current = self.round.read().unwrap_or_else(PoisonError::into_inner);
        if *current != round {
            return;
        }
        for offer in offers {
            self.ids.insert(offer.sku.clone(), offer.variant);
            self.offers.insert(offer.variant, (offer.clone(), at));
        }
    }

    fn forget(&self, variants: &[VariantId]) {
        let mut round = self.round.write().unwrap_or_else(PoisonError::into_inner);
        *round += 1;
        for variant in variants {
            self.offers.remove(variant);
        }
    }

    /// By its SKU, which may have become another variant's.
    fn by_sku(&self, sku: &str) -> Option<(Arc<Offer>, Instant)> {
        let known = self.offers.get(&self.ids.get(sku)?)?;
        (known.0.sku == sku).then_some(known)
    }

    fn sold(&self, sku: &str) -> Option<Arc<Offer>> {
        self.by_sku(sku).map(|(offer, _)| offer).filter(|offer| offer.is_sold)
    }

    fn current(&self, name: &Name, now: Instant) -> Option<Arc<Offer>> {
        let known = match name {
            Name::Sku(sku) => self.by_sku(sku),
            Name::Id(id) => self.offers.get(id),
        };
        let is_current = |at: Instant| now.saturating_duration_since(at) < CURRENT;
        known.filter(|(_, at)| is_current(*at)).map(|(offer, _)| offer)
    }
}
