//! Making products, and stocking what was never stocked.

use super::super::product::NewProduct;
use super::super::slug;
use crate::id::{AdjustmentId, CategoryId, ProductId, VariantId};
use crate::money::Money;
use deadpool_postgres::Transaction;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use tokio_postgres::Error;
use uuid::Uuid;

/// After so many attempts a derived slug ends in a part of the id instead of the next number.
const ATTEMPTS_MAX: usize = 100;

/// What came of an insertion.
#[derive(Debug)]
pub enum Insertion {
    /// The ids, in the order of the products, with those of their variants.
    Done(Vec<Made>),
    /// Somebody else has these; the transaction must not be committed.
    Taken(Vec<Taken>),
}

/// A product that was made.
#[derive(Debug)]
pub struct Made {
    /// Its id.
    pub id: ProductId,
    /// Those of its variants.
    pub variants: Vec<VariantId>,
}

/// Something that must be unique and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The given slug of a product, by the product's index.
    Slug(usize),
    /// A SKU, by the indexes of the product and of the variant.
    Sku(usize, usize),
}

/// Inserts products with their variants, categories, prices and empty stock rows.
///
/// A concurrent insertion of the same slug or SKU is waited for. Derived slugs are numbered in
/// the order of the products.
pub async fn insert(
    transaction: &Transaction<'_>,
    products: &[NewProduct],
) -> Result<Insertion, Error> {
    let ids: Vec<ProductId> = products.iter().map(|_| ProductId::new()).collect();
    let taken = insert_products(transaction, products, &ids).await?;
    if !taken.is_empty() {
        return Ok(Insertion::Taken(taken));
    }
    let made = |(id, product): (&ProductId, &NewProduct)| {
        let variants = product.variants.iter().map(|_| VariantId::new()).collect();
        Made { id: *id, variants }
    };
    let made: Vec<Made> = ids.iter().zip(products).map(made).collect();
    let taken = insert_variants(transaction, products, &made).await?;
    if !taken.is_empty() {
        return Ok(Insertion::Taken(taken));
    }
    let links = ids.iter().zip(products);
    let links = links.flat_map(|(id, product)| product.category_ids.iter().map(|to| (*id, *to)));
    categorise(transaction, &links.collect::<Vec<_>>()).await?;
    let priced = products.iter().zip(&made).flat_map(|(product, made)| {
        let variants = made.variants.iter().zip(&product.variants);
        variants.flat_map(|(id, variant)| variant.prices.iter().map(|price| (*id, *price)))
    });
    set_prices(transaction, &priced.collect::<Vec<_>>()).await?;
    let variants: Vec<Uuid> =
        made.iter().flat_map(|made| &made.variants).map(|id| id.uuid()).collect();
    insert_stock(transaction, &variants).await?;
    Ok(Insertion::Done(made))
}

/// Chooses slugs: the given ones as they are, the derived ones by number.
struct Slugs<'p> {
    given: HashSet<&'p str>,
    last: HashMap<String, u32>,
}

impl<'p> Slugs<'p> {
    fn of(products: &'p [NewProduct]) -> Self {
        let given = products.iter().filter_map(|product| product.slug.as_deref()).collect();
        Self { given, last: HashMap::new() }
    }

    /// The next slug to try for a product.
    fn next(&mut self, product: &NewProduct, id: ProductId, attempt: usize) -> String {
        if let Some(given) = &product.slug {
            return given.clone();
        }
        let base = slug::of_title(&product.title, "product");
        if attempt > ATTEMPTS_MAX {
            let tail = (id.uuid().as_u128() as u32).wrapping_add(attempt as u32);
            return slug::numbered(&base, tail);
        }
        loop {
            let last = self.last.entry(base.clone()).or_insert(0);
            *last += 1;
            let slug = slug::numbered(&base, *last);
            if !self.given.contains(slug.as_str()) {
                return slug;
            }
        }
    }
}

/// Inserts until every derived slug has found its place; returns the given ones that are taken.
async fn insert_products(
    transaction: &Transaction<'_>,
    products: &[NewProduct],
    ids: &[ProductId],
) -> Result<Vec<Taken>, Error> {
    let mut slugs = Slugs::of(products);
    let mut open: Vec<usize> = (0..products.len()).collect();
    let mut attempt = 1;
    loop {
        let rows: Vec<(Uuid, String, &NewProduct)> = open
            .iter()
            .map(|&i| (ids[i].uuid(), slugs.next(&products[i], ids[i], attempt), &products[i]))
            .collect();
        let done = insert_where_free(transaction, &rows).await?;
        open.retain(|&index| !done.contains(&ids[index].uuid()));
        let is_given = |index: &&usize| products[**index].slug.is_some();
        let taken: Vec<Taken> = open.iter().filter(is_given).map(|&i| Taken::Slug(i)).collect();
        if open.is_empty() || !taken.is_empty() {
            return Ok(taken);
        }
        attempt += 1;
    }
}

/// Inserts the products whose slugs are free; returns their ids.
async fn insert_where_free(
    transaction: &Transaction<'_>,
    rows: &[(Uuid, String, &NewProduct)],
) -> Result<HashSet<Uuid>, Error> {
    // Of equal slugs the earlier product's wins: its id is smaller.
    let sql = "INSERT INTO products
                   (id, slug, title, description, status, tags, options, media)
               SELECT id, slug, title, description, status,
                   ARRAY(SELECT jsonb_array_elements_text(tags)),
                   ARRAY(SELECT jsonb_array_elements_text(options)), media
               FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                        $6::jsonb[], $7::jsonb[], $8::jsonb[])
                    AS d (id, slug, title, description, status, tags, options, media)
               ORDER BY slug, id
               ON CONFLICT (slug) DO NOTHING RETURNING id";
    let statement = transaction.prepare_cached(sql).await?;
    let ids: Vec<Uuid> = rows.iter().map(|(id, ..)| *id).collect();
    let slugs: Vec<&str> = rows.iter().map(|(_, slug, _)| slug.as_str()).collect();
    let products = || rows.iter().map(|(.., product)| product);
    let titles: Vec<&str> = products().map(|product| product.title.as_str()).collect();
    let texts: Vec<&str> = products().map(|product| product.description.as_str()).collect();
    let statuses: Vec<&str> = products().map(|product| product.status.as_str()).collect();
    let tags: Vec<Value> = products().map(|product| json!(product.tags)).collect();
    let options: Vec<Value> = products().map(|product| json!(product.options)).collect();
    let media: Vec<Value> = products().map(|product| json!(product.media)).collect();
    let inserted = transaction
        .query(&statement, &[&ids, &slugs, &titles, &texts, &statuses, &tags, &options, &media])
        .await?;
    Ok(inserted.iter().map(|row| row.get(0)).collect())
}

async fn insert_variants(
    transaction: &Transaction<'_>,
    products: &[NewProduct],
    made: &[Made],
) -> Result<Vec<Taken>, Error> {
    let sql = "INSERT INTO variants (id, product_id, sku, position, options)
               SELECT id, product_id, sku, position, options
               FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::jsonb[])
                    AS d (id, product_id, sku, position, options)
               ORDER BY sku
               ON CONFLICT (sku) DO NOTHING RETURNING id";
    let statement = transaction.prepare_cached(sql).await?;
    let (mut ids, mut owners, mut skus) = (Vec::new(), Vec::new(), Vec::new());
    let (mut positions, mut options, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (product, made)) in products.iter().zip(made).enumerate() {
        for (position, variant) in product.variants.iter().enumerate() {
            ids.push(made.variants[position].uuid());
            owners.push(made.id.uuid());
            skus.push(variant.sku.as_str());
            // At most VARIANTS_MAX.
            positions.push(position as i32);
            options.push(json!(variant.options));
            places.push(Taken::Sku(index, position));
        }
    }
    let parameters = [&ids as _, &owners as _, &skus as _, &positions as _, &options as _];
    let rows = transaction.query(&statement, &parameters).await?;
    let done: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let taken = ids.iter().zip(places).filter(|(id, _)| !done.contains(id));
    Ok(taken.map(|(_, place)| place).collect())
}

/// Puts products into categories, which exist.
pub async fn categorise(
    transaction: &Transaction<'_>,
    links: &[(ProductId, CategoryId)],
) -> Result<(), Error> {
    if links.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO product_categories (product_id, category_id)
               SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS d (product_id, category_id)
               ORDER BY category_id, product_id";
    let (products, categories): (Vec<Uuid>, Vec<Uuid>) =
        links.iter().map(|(product, category)| (product.uuid(), category.uuid())).unzip();
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&products, &categories]).await?;
    Ok(())
}

/// Sets prices. The stock of variants that others know must be locked: that is how the history
/// of prices knows which orders came before.
pub async fn set_prices(
    transaction: &Transaction<'_>,
    prices: &[(VariantId, Money)],
) -> Result<(), Error> {
    let sql = "INSERT INTO prices (variant_id, currency, amount)
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])
                        AS d (variant_id, currency, amount)
               ORDER BY variant_id, currency
               ON CONFLICT (variant_id, currency) DO UPDATE SET amount = excluded.amount";
    let variants: Vec<Uuid> = prices.iter().map(|(variant, _)| variant.uuid()).collect();
    let currencies: Vec<&str> = prices.iter().map(|(_, price)| price.currency.as_str()).collect();
    let amounts: Vec<i64> = prices.iter().map(|(_, price)| price.amount).collect();
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&variants, &currencies, &amounts]).await?;
    Ok(())
}

/// Empty stock rows for new variants.
pub async fn insert_stock(transaction: &Transaction<'_>, variants: &[Uuid]) -> Result<(), Error> {
    let sql = "INSERT INTO stock (variant_id, location_id)
               SELECT v.id, l.id FROM unnest($1::uuid[]) AS v (id), locations l
               WHERE l.code = 'default' ORDER BY v.id, l.id";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&variants]).await?;
    Ok(())
}

/// Those of the variants whose stock at the default location has never moved, by key.
pub async fn never_stocked(
    transaction: &Transaction<'_>,
    variants: &[Uuid],
) -> Result<Vec<Uuid>, Error> {
    let sql = "SELECT s.variant_id FROM stock s
               JOIN locations l ON l.id = s.location_id AND l.code = 'default'
               WHERE s.variant_id = ANY($1)
                 AND NOT EXISTS (SELECT FROM stock_ledger e WHERE e.variant_id = s.variant_id
                                 AND e.location_id = s.location_id)
                 AND NOT EXISTS (SELECT FROM archived_stock a WHERE a.variant_id = s.variant_id
                                 AND a.location_id = s.location_id)
               ORDER BY s.variant_id";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&variants]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Locks what lists and searches show of the products, by key. Triggers write it, and a category
/// that moves keeps it locked for long, so it comes before the stock, which orders wait for.
pub async fn lock_search(
    transaction: &Transaction<'_>,
    products: &[ProductId],
) -> Result<(), Error> {
    let products: Vec<Uuid> = products.iter().map(|id| id.uuid()).collect();
    let sql = "SELECT product_id FROM product_search WHERE product_id = ANY($1)
               ORDER BY product_id FOR UPDATE";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.query(&statement, &[&products]).await?;
    Ok(())
}

/// Locks every stock row of the variants, by key.
pub async fn lock_stock(transaction: &Transaction<'_>, variants: &[Uuid]) -> Result<(), Error> {
    let sql = "SELECT variant_id FROM stock WHERE variant_id = ANY($1)
               ORDER BY variant_id, location_id FOR UPDATE";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.query(&statement, &[&variants]).await?;
    Ok(())
}

/// Tells orders that what they know of the variants is old. Their stock must be locked.
pub async fn bump_offers(transaction: &Transaction<'_>, variants: &[Uuid]) -> Result<(), Error> {
    let sql = "UPDATE stock SET offer_version = offer_version + 1 WHERE variant_id = ANY($1)";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&variants]).await?;
    Ok(())
}

/// Tells lists and searches that the catalog is another one. The last statement of every
/// transaction that writes it: all of them wait for this row. The time in microseconds, so that
/// a change which a failover has lost and one that follows it are two epochs.
pub async fn bump_epoch(transaction: &Transaction<'_>) -> Result<(), Error> {
    let sql = "UPDATE catalog_epoch SET value =
               greatest(value + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[]).await?;
    Ok(())
}

/// The first supply of variants whose stock is locked and has never moved.
pub async fn supply(
    transaction: &Transaction<'_>,
    variants: &[Uuid],
    quantity: i64,
    reason: &str,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = variants.iter().map(|_| AdjustmentId::new().uuid()).collect();
    let adjust = "INSERT INTO stock_adjustments (id, variant_id, location_id, quantity, reason)
                  SELECT d.id, d.variant_id, l.id, $3, $4
                  FROM unnest($1::uuid[], $2::uuid[]) AS d (id, variant_id), locations l
                  WHERE l.code = 'default'";
    let adjust = transaction.prepare_cached(adjust).await?;
    transaction.execute(&adjust, &[&ids, &variants, &quantity, &reason]).await?;
    let enter = "INSERT INTO stock_ledger (variant_id, location_id, cause, reference,
                     supplied, available, held, sold, created_at)
                 SELECT variant_id, location_id, 'adjustment', id, quantity, quantity, 0, 0, now()
                 FROM stock_adjustments WHERE id = ANY($1)";
    let enter = transaction.prepare_cached(enter).await?;
    transaction.execute(&enter, &[&ids]).await?;
    let raise = "UPDATE stock s SET supplied = supplied + $2, available = available + $2
                 FROM locations l
                 WHERE s.variant_id = ANY($1) AND s.location_id = l.id AND l.code = 'default'";
    let raise = transaction.prepare_cached(raise).await?;
    transaction.execute(&raise, &[&variants, &quantity]).await?;
    Ok(())
}

/// All variants of the products, archived ones too.
pub async fn variants_of(
    transaction: &Transaction<'_>,
    products: &[ProductId],
) -> Result<Vec<VariantId>, Error> {
    let products: Vec<Uuid> = products.iter().map(|id| id.uuid()).collect();
    let sql = "SELECT id FROM variants WHERE product_id = ANY($1)";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&products]).await?;
    Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
}
