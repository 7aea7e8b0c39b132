//! What the store shows: bytes made once, for details and lists alike.
//!
//! A version of a product is read and serialised once for all who look at it; while it is shown,
//! only its counts are read, and written into those bytes. A list is the ids that a query
//! finds, and the bytes of those products. Ids found, and slugs, hold for one epoch of the
//! catalog, so the epoch's number says whether they are still true; what depends on the stock,
//! which moves without it, is read again after less than a second, as products are.

mod epochs;
mod made;
mod page;
mod query;

use super::listing::Listing;
use super::offers::Offers;
use super::store::Key as Address;
use super::store::shown::{Found, Snapshot, owners};
use crate::cache::{self, Cache, Cached, Loaded, Need, Options, Order, Shared};
use crate::error::Problem;
use crate::id::{ProductId, VariantId};
use crate::postgres::{Postgres, unavailable};
use bytes::Bytes;
use deadpool_postgres::Object;
use epochs::Epochs;
use futures_util::FutureExt;
use made::Made;
use page::Pages;
use query::Query;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The form of what is kept in Redis, products as they are shown and what listings find: whoever
/// changes one counts on, because binaries of several releases share a Redis.
pub const KEPT_FORMAT: u32 = 1;

/// For how long Redis keeps products, so that they can be shown while PostgreSQL is away.
const PRODUCTS_KEPT: Duration = Duration::from_secs(60 * 60);

/// For how long Redis keeps what holds for one epoch.
const EPOCH_KEPT: Duration = Duration::from_secs(60);

/// A read of products or slugs that takes longer counts as none.
const READ_MAX: Duration = Duration::from_secs(2);

/// The same for lists and searches: each of their statements has a limit of its own.
const SEARCH_MAX: Duration = Duration::from_secs(6);

/// What a replica may take before, for slugs; and for lists and searches, whose statements give up
/// by themselves after two seconds.
const REPLICA_MAX: Duration = Duration::from_millis(500);
const REPLICA_SEARCH_MAX: Duration = Duration::from_millis(2500);

/// Products in one read.
const PRODUCTS_MAX: usize = 200;

/// Variants whose product is remembered.
const OWNERS_MAX: usize = 100_000;

/// What the store shows, and who is told when it changes. Cheap to clone.
#[derive(Clone)]
pub struct Storefront(Arc<Inner>);

struct Inner {
    postgres: Postgres,
    epochs: Arc<Epochs>,
    /// What carts show of them.
    offers: Offers,
    products: Cache<Key>,
    slugs: Cache<String>,
    /// What queries find that do not ask for the stock …
    lists: Cache<Query>,
    /// … and what those find that do.
    stock_lists: Cache<Query>,
    pages: Pages,
    /// A variant never changes its product.
    owners: quick_cache::sync::Cache<VariantId, ProductId>,
}

/// The settings of the storefront.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Bytes in memory, about.
    pub bytes_max: u64,
    /// For how long a read of what may change at any moment is shown.
    pub fresh: Duration,
    /// Searches at the same time.
    pub searches: usize,
}

/// What is read together, in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Product(ProductId),
    /// The number of the catalog's last change.
    Epoch,
}

impl cache::Key for Key {}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Product(id) => id.fmt(f),
            Key::Epoch => f.write_str("epoch"),
        }
    }
}

impl Storefront {
    /// Nothing is remembered yet, but by Redis.
    pub fn start(
        postgres: &Postgres,
        settings: Settings,
        offers: Offers,
        redis: Option<Shared>,
    ) -> Self {
        let share = |part| settings.bytes_max / 16 * part;
        let options = |name, part| Options {
            name,
            bytes_max: share(part),
            fresh: settings.fresh,
            kept: EPOCH_KEPT,
            is_invalidated: false,
            lanes: settings.searches,
            keys_max: 1,
            read_max: SEARCH_MAX + REPLICA_SEARCH_MAX,
        };
        let runtime = postgres.runtime();
        let (lists, stock_lists) = (options("lists", 2), options("stock_lists", 1));
        let stock_lists = Options { is_invalidated: true, read_max: SEARCH_MAX, ..stock_lists };
        let slugs = Options {
            lanes: 1,
            keys_max: PRODUCTS_MAX,
            read_max: READ_MAX + REPLICA_MAX,
            ..options("slugs", 1)
        };
        let products = Options {
            kept: PRODUCTS_KEPT,
            is_invalidated: true,
            lanes: 1,
            keys_max: PRODUCTS_MAX,
            read_max: READ_MAX,
            ..options("products", 6)
        };
        let with = || postgres.clone();
        let (by_key, by_snapshot) = (with(), with());
        let epochs = Epochs::of(postgres);
        let (by_slug, by_epoch) = (epochs.clone(), epochs.clone());
        let made = Arc::new(Made::new(share(3)));
        Self(Arc::new(Inner {
            products: Cache::start(runtime, products, redis.clone(), move |keys| {
                read_products(by_key.clone(), made.clone(), keys).boxed()
            }),
            slugs: Cache::start(runtime, slugs, redis.clone(), move |slugs| {
                let read = |client, slugs| read_slugs(client, slugs).boxed();
                by_slug.clone().read(slugs, REPLICA_MAX, read).boxed()
            }),
            lists: Cache::start(runtime, lists, redis.clone(), move |queries| {
                let find = |client, queries| find(client, queries, By::Epoch).boxed();
                by_epoch.clone().read(queries, REPLICA_SEARCH_MAX, find).boxed()
            }),
            stock_lists: Cache::start(runtime, stock_lists, redis, move |queries| {
                let postgres = by_snapshot.clone();
                let found = async move {
                    find(postgres.readers.get().await?, queries, By::Snapshot).await
                };
                found.boxed()
            }),
            pages: Pages::new(share(3)),
            owners: quick_cache::sync::Cache::new(OWNERS_MAX),
            postgres: with(),
            epochs,
            offers,
        }))
    }

    /// The product at an address.
    pub async fn product(&self, address: Address<'_>) -> Result<Option<Cached>, Problem> {
        match address {
            Address::Id(id) => self.0.products.get(&Key::Product(id), Need::Fresh).await,
            Address::Slug(slug) => self.product_by_slug(slug).await,
        }
    }

    async fn product_by_slug(&self, slug: &str) -> Result<Option<Cached>, Problem> {
        let (epoch, need) = self.epoch().await?;
        let Some(named) = self.0.slugs.get(&slug.to_owned(), need).await? else {
            // By now there may be one.
            return if epoch.is_stale { Err(unavailable()) } else { Ok(None) };
        };
        let id = read_text(&named.body)?.parse().map_err(Problem::internal)?;
        let product = self.0.products.get(&Key::Product(id), Need::Fresh).await?;
        let is_stale = epoch.is_stale || named.is_stale;
        Ok(product.map(|product| Cached { is_stale: product.is_stale || is_stale, ..product }))
    }

    /// A page of products.
    pub async fn list(&self, listing: Listing) -> Result<Cached, Problem> {
        let Inner { products, pages, .. } = &*self.0;
        let query = Query::of(listing);
        let depends_on_stock = query.listing.depends_on_stock();
        let revision = products.revision();
        if let Some(page) = pages.get(&query, revision) {
            return Ok(page);
        }
        let (epoch, need) = self.epoch().await?;
        let found = match depends_on_stock {
            true => self.0.stock_lists.get(&query, Need::Fresh).await?,
            false => self.0.lists.get(&query, need).await?,
        };
        let mut found =
            found.ok_or_else(|| Problem::internal("a query found not even nothing"))?;
        found.is_stale |= epoch.is_stale && !depends_on_stock;
        let list: Found = serde_json::from_slice(&found.body).map_err(Problem::internal)?;
        let keys: Vec<Key> = list.ids.iter().copied().map(Key::Product).collect();
        let items = products.get_all(&keys, Need::Fresh).await?;
        // Some may have left the store since.
        let items: Vec<Cached> = items.into_iter().flatten().collect();
        let page = page::compose(&found, &list, &items);
        if !depends_on_stock {
            let oldest = items.iter().map(|item| item.read_at).fold(epoch.read_at, Ord::min);
            pages.keep(query, &page, revision, products.ageing(oldest));
        }
        Ok(page)
    }

    /// The catalog's epoch, and the need of whoever wants what holds for it. While the database is
    /// away it may be an earlier one, and what holds for it is as stale.
    async fn epoch(&self) -> Result<(Cached, Need), Problem> {
        let epoch = self.0.products.get(&Key::Epoch, Need::Fresh).await?;
        let epoch = epoch.ok_or_else(|| Problem::internal("the catalog has no epoch"))?;
        let number = Order(read_text(&epoch.body)?.parse().map_err(Problem::internal)?);
        self.0.epochs.heard_of(number);
        Ok((epoch, Need::Since(number)))
    }

    /// These products with all their variants, or the catalog around them, changed in a committed
    /// transaction. Once this returns, this instance shows nothing older.
    pub async fn changed(&self, products: &[ProductId], variants: &[VariantId]) {
        self.0.offers.forget_variants(variants);
        let keys = products.iter().copied().map(Key::Product).chain([Key::Epoch]);
        let keys: Vec<Key> = keys.collect();
        let Inner { products, stock_lists, .. } = &*self.0;
        tokio::join!(products.invalidate(&keys), stock_lists.invalidate_all());
    }

    /// The stock of these variants was adjusted in a committed transaction.
    pub async fn restocked(&self, variants: &[VariantId]) {
        let products = self.owners(variants).await.unwrap_or_else(|problem| {
            tracing::warn!(%problem, "an adjustment is shown a moment later");
            Vec::new()
        });
        let keys: Vec<Key> = products.into_iter().map(Key::Product).collect();
        let Inner { products, stock_lists, .. } = &*self.0;
        tokio::join!(products.invalidate(&keys), stock_lists.invalidate_all());
    }

    async fn owners(&self, variants: &[VariantId]) -> Result<Vec<ProductId>, Problem> {
        let Inner { postgres, owners: known, .. } = &*self.0;
        let all: Option<Vec<ProductId>> = variants.iter().map(|id| known.get(id)).collect();
        if let Some(all) = all {
            return Ok(all);
        }
        let owners = owners(&postgres.readers, variants).await?;
        owners.iter().for_each(|(variant, product)| known.insert(*variant, *product));
        Ok(owners.into_iter().map(|(_, product)| product).collect())
    }

    /// Hears no more of other instances.
    pub fn stop(&self) {
        self.0.products.stop();
        self.0.stock_lists.stop();
    }
}

fn read_text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(Problem::internal)
}

async fn read_products(
    postgres: Postgres,
    made: Arc<Made>,
    keys: Vec<Key>,
) -> Result<Loaded<Key>, Problem> {
    let mut client = postgres.readers.get().await?;
    let snapshot = Snapshot::of(&mut client).await?;
    let id = |key: &Key| match key {
        Key::Product(id) => Some(*id),
        Key::Epoch => None,
    };
    let ids: Vec<ProductId> = keys.iter().filter_map(id).collect();
    let (order, epoch, counts) =
        tokio::try_join!(snapshot.order(), snapshot.epoch(), snapshot.counts(&ids))?;
    let mut bodies = HashMap::from([(Key::Epoch, Bytes::from(epoch.0.to_string()))]);
    let mut unmade = Vec::new();
    for counts in counts {
        match made.fill(&counts) {
            Some(body) => drop(bodies.insert(Key::Product(counts.product), body)),
            None => unmade.push(counts.product),
        }
    }
    if !unmade.is_empty() {
        for product in snapshot.products(&unmade).await? {
            bodies.insert(Key::Product(product.id), made.make(&product)?);
        }
    }
    Ok(Loaded { order, bodies })
}

async fn read_slugs(mut client: Object, slugs: Vec<String>) -> Result<Loaded<String>, Problem> {
    let snapshot = Snapshot::of(&mut client).await?;
    let slugs: Vec<&str> = slugs.iter().map(String::as_str).collect();
    let (order, ids) = tokio::try_join!(snapshot.epoch(), snapshot.slugs(&slugs))?;
    let body = |(slug, id): (String, ProductId)| (slug, Bytes::from(id.to_string()));
    Ok(Loaded { order, bodies: ids.into_iter().map(body).collect() })
}

/// What puts the results of a query in order.
#[derive(Clone, Copy)]
enum By {
    /// They are the same as long as the catalog is.
    Epoch,
    Snapshot,
}

async fn find(mut client: Object, queries: Vec<Query>, by: By) -> Result<Loaded<Query>, Problem> {
    let snapshot = Snapshot::of(&mut client).await?;
    let order = match by {
        By::Epoch => snapshot.epoch().await?,
        By::Snapshot => snapshot.order().await?,
    };
    let mut bodies = HashMap::new();
    for query in queries {
        let found = snapshot.find(&query.listing).await?;
        let body = serde_json::to_vec(&found).map_err(Problem::internal)?;
        bodies.insert(query, Bytes::from(body));
    }
    Ok(Loaded { order, bodies })
}
