//! Products as staff see and change them.

use super::super::product::{AdminProduct, AdminVariant, Status, VariantStatus};
use super::write::set_prices;
use super::write::{Taken, bump_offers, categorise, insert_stock, lock_search, lock_stock};
use super::{COLUMNS, available, read_json, read_prices, read_product};
use crate::error::Problem;
use crate::id::{CategoryId, ProductId, VariantId};
use crate::page::Page;
use crate::postgres::reader;
use deadpool_postgres::{GenericClient, Pool, Transaction};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

/// A product, whatever its status.
pub async fn find(
    client: &impl GenericClient,
    id: ProductId,
) -> Result<Option<AdminProduct>, Problem> {
    Ok(select(client, "id = $1", &[&id.uuid()]).await?.pop())
}

/// The same, and nobody else changes it until the end of the transaction.
pub async fn lock(
    transaction: &Transaction<'_>,
    id: ProductId,
) -> Result<Option<AdminProduct>, Problem> {
    Ok(select(transaction, "id = $1 FOR UPDATE", &[&id.uuid()]).await?.pop())
}

/// The products of a status, or all, by id: one more than the page holds.
pub async fn list(
    readers: &Pool,
    status: Option<Status>,
    page: Page,
) -> Result<Vec<AdminProduct>, Problem> {
    let client = reader(readers).await?;
    let (status, after) = (status.map(Status::as_str), page.after.unwrap_or_default());
    let condition = "id > $1 AND ($2::text IS NULL OR status = $2) ORDER BY id LIMIT $3";
    select(&client, condition, &[&after, &status, &page.fetch()]).await
}

/// The product of a variant; it never changes.
pub async fn product_of(
    client: &impl GenericClient,
    variant: VariantId,
) -> Result<Option<ProductId>, Problem> {
    let statement =
        client.prepare_cached("SELECT product_id FROM variants WHERE id = $1").await?;
    let row = client.query_opt(&statement, &[&variant.uuid()]).await?;
    Ok(row.map(|row| row.get::<_, Uuid>(0).into()))
}

/// The products come first: if something changes in between, the version is the older one and
/// `If-Match` stays safe.
async fn select(
    client: &impl GenericClient,
    condition: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<AdminProduct>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM products WHERE {condition}");
    let statement = client.prepare_cached(&sql).await?;
    let rows = client.query(&statement, parameters).await?;
    let products = rows.iter().map(read_product).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<Uuid> = products.iter().map(|product| product.id.uuid()).collect();
    let mut variants = variants(client, &ids).await?;
    let mut categories = categories(client, &ids).await?;
    let whole = products.into_iter().map(|product| AdminProduct {
        id: product.id,
        slug: product.slug,
        title: product.title,
        status: product.status,
        version: product.version,
        description: product.description,
        media: product.media,
        tags: product.tags,
        options: product.options,
        category_ids: categories.remove(&product.id).unwrap_or_default(),
        variants: variants.remove(&product.id).unwrap_or_default(),
    });
    Ok(whole.collect())
}

async fn variants(
    client: &impl GenericClient,
    products: &[Uuid],
) -> Result<HashMap<ProductId, Vec<AdminVariant>>, Problem> {
    let sql = "SELECT v.product_id, v.id, v.sku, v.options,
                   ARRAY(SELECT currency FROM prices WHERE variant_id = v.id ORDER BY currency),
                   ARRAY(SELECT amount FROM prices WHERE variant_id = v.id ORDER BY currency),
                   v.archived_at IS NOT NULL
               FROM variants v WHERE v.product_id = ANY($1)
               ORDER BY v.product_id, v.position, v.id";
    let statement = client.prepare_cached(sql).await?;
    let mut variants: HashMap<ProductId, Vec<AdminVariant>> = HashMap::new();
    let rows = client.query(&statement, &[&products]).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get(1)).collect();
    let available = available(client, &ids).await?;
    for (row, &id) in rows.iter().zip(&ids) {
        let owner = row.get::<_, Uuid>(0).into();
        variants.entry(owner).or_default().push(read_variant(row, available(id))?);
    }
    Ok(variants)
}

fn read_variant(row: &Row, available: i64) -> Result<AdminVariant, Problem> {
    let is_archived: bool = row.get(6);
    Ok(AdminVariant {
        id: row.get::<_, Uuid>(1).into(),
        sku: row.get(2),
        options: read_json(row, 3)?,
        prices: read_prices(row, 4)?,
        status: if is_archived { VariantStatus::Archived } else { VariantStatus::Active },
        in_stock: available > 0,
        available,
    })
}

async fn categories(
    client: &impl GenericClient,
    products: &[Uuid],
) -> Result<HashMap<ProductId, Vec<CategoryId>>, Problem> {
    let sql = "SELECT product_id, category_id FROM product_categories
               WHERE product_id = ANY($1) ORDER BY category_id";
    let statement = client.prepare_cached(sql).await?;
    let mut categories: HashMap<ProductId, Vec<CategoryId>> = HashMap::new();
    for row in client.query(&statement, &[&products]).await? {
        let (product, category): (Uuid, Uuid) = (row.get(0), row.get(1));
        categories.entry(product.into()).or_default().push(category.into());
    }
    Ok(categories)
}

/// Writes what differs `after` a change of a locked product. What others have taken is returned;
/// then the transaction must not be committed.
pub async fn update(
    transaction: &Transaction<'_>,
    before: &AdminProduct,
    after: &AdminProduct,
) -> Result<Vec<Taken>, Error> {
    let taken = taken(transaction, after).await?;
    if !taken.is_empty() {
        return Ok(taken);
    }
    // First, because their trigger excludes moves of categories, which lock what is shown.
    if before.category_ids != after.category_ids {
        update_categories(transaction, after).await?;
    }
    update_product(transaction, after).await?;
    update_variants(transaction, after).await?;
    let is_new = |variant: &&AdminVariant| before.variant(variant.id).is_none();
    let fresh: Vec<Uuid> =
        after.variants.iter().filter(is_new).map(|variant| variant.id.uuid()).collect();
    let offers = after.offers_changed(before);
    let offers: Vec<Uuid> = offers.into_iter().map(VariantId::uuid).collect();
    if !offers.is_empty() {
        lock_search(transaction, &[after.id]).await?;
        lock_stock(transaction, &offers).await?;
    }
    update_prices(transaction, before, after).await?;
    if !fresh.is_empty() {
        insert_stock(transaction, &fresh).await?;
    }
    if !offers.is_empty() {
        bump_offers(transaction, &offers).await?;
    }
    Ok(Vec::new())
}

/// Slugs and SKUs that other products have. Whoever takes one at the same time is stopped by the
/// unique index.
async fn taken(
    transaction: &Transaction<'_>,
    product: &AdminProduct,
) -> Result<Vec<Taken>, Error> {
    let sql = "SELECT NULL FROM products WHERE slug = $1 AND id <> $2 UNION ALL
               SELECT sku FROM variants WHERE sku = ANY($3) AND product_id <> $2";
    let statement = transaction.prepare_cached(sql).await?;
    let skus: Vec<&str> = product.variants.iter().map(|variant| variant.sku.as_str()).collect();
    let parameters: [&(dyn ToSql + Sync); 3] = [&product.slug, &product.id.uuid(), &skus];
    let rows = transaction.query(&statement, &parameters).await?;
    let taken = rows.iter().map(|row| match row.get::<_, Option<&str>>(0) {
        None => Taken::Slug(0),
        Some(sku) => Taken::Sku(0, skus.iter().position(|other| *other == sku).unwrap_or(0)),
    });
    Ok(taken.collect())
}

async fn update_product(
    transaction: &Transaction<'_>,
    product: &AdminProduct,
) -> Result<(), Error> {
    let sql = "UPDATE products SET slug = $2, title = $3, description = $4, status = $5,
                   tags = $6, options = $7, media = $8, version = version + 1, updated_at = now()
               WHERE id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    let AdminProduct { slug, title, description, status, tags, options, media, .. } = product;
    let (id, status, media) = (product.id.uuid(), status.as_str(), json!(media));
    let parameters: [&(dyn ToSql + Sync); 8] =
        [&id, slug, title, description, &status, tags, options, &media];
    transaction.execute(&statement, &parameters).await?;
    Ok(())
}

async fn update_categories(
    transaction: &Transaction<'_>,
    product: &AdminProduct,
) -> Result<(), Error> {
    let sql = "DELETE FROM product_categories WHERE product_id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&product.id.uuid()]).await?;
    let links = product.category_ids.iter().map(|category| (product.id, *category));
    categorise(transaction, &links.collect::<Vec<_>>()).await
}

/// Variants never change their product, so the conflict is always the variant with itself.
async fn update_variants(
    transaction: &Transaction<'_>,
    product: &AdminProduct,
) -> Result<(), Error> {
    let sql = "INSERT INTO variants AS v (id, product_id, sku, position, options, archived_at)
               SELECT id, $2, sku, position, options, CASE WHEN archived THEN now() END
               FROM unnest($1::uuid[], $3::text[], $4::integer[], $5::jsonb[], $6::boolean[])
                    AS d (id, sku, position, options, archived)
               ORDER BY id
               ON CONFLICT (id) DO UPDATE SET sku = excluded.sku, position = excluded.position,
                   options = excluded.options,
                   archived_at = CASE WHEN excluded.archived_at IS NOT NULL
                                      THEN coalesce(v.archived_at, excluded.archived_at) END";
    let statement = transaction.prepare_cached(sql).await?;
    let variants = || product.variants.iter();
    let ids: Vec<Uuid> = variants().map(|variant| variant.id.uuid()).collect();
    let skus: Vec<&str> = variants().map(|variant| variant.sku.as_str()).collect();
    // At most VARIANTS_KEPT_MAX.
    let positions: Vec<i32> = (0..).take(ids.len()).collect();
    let options: Vec<Value> = variants().map(|variant| json!(variant.options)).collect();
    let archived: Vec<bool> =
        variants().map(|variant| variant.status == VariantStatus::Archived).collect();
    let parameters: [&(dyn ToSql + Sync); 6] =
        [&ids, &product.id.uuid(), &skus, &positions, &options, &archived];
    transaction.execute(&statement, &parameters).await?;
    Ok(())
}

async fn update_prices(
    transaction: &Transaction<'_>,
    before: &AdminProduct,
    after: &AdminProduct,
) -> Result<(), Error> {
    let prices = |product: &AdminProduct| -> HashSet<_> {
        let each = product.variants.iter();
        each.flat_map(|variant| variant.prices.iter().map(|price| (variant.id, *price))).collect()
    };
    let (was, is) = (prices(before), prices(after));
    let kept: HashSet<_> = is.iter().map(|(id, price)| (*id, price.currency)).collect();
    let gone = was.iter().filter(|(id, price)| !kept.contains(&(*id, price.currency)));
    let (variants, currencies): (Vec<Uuid>, Vec<&str>) =
        gone.map(|(id, price)| (id.uuid(), price.currency.as_str())).unzip();
    if !variants.is_empty() {
        let sql = "DELETE FROM prices p USING unnest($1::uuid[], $2::text[])
                       AS d (variant_id, currency)
                   WHERE (p.variant_id, p.currency) = (d.variant_id, d.currency)";
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, &[&variants, &currencies]).await?;
    }
    let changed: Vec<_> = is.difference(&was).copied().collect();
    if changed.is_empty() { Ok(()) } else { set_prices(transaction, &changed).await }
}
