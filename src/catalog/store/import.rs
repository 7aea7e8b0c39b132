//! The SQL of imports: what a batch of SKUs is now, and its changes.

use super::super::import::plan::{Change, Known};
use super::super::product;
use super::super::product::Status;
use super::write::{lock_search, set_prices};
use crate::id::{ProductId, VariantId};
use deadpool_postgres::Transaction;
use std::collections::{HashMap, HashSet};
use tokio_postgres::Error;
use uuid::Uuid;

/// What is known of the SKUs, each with its price in the currency beside it.
pub async fn known(
    transaction: &Transaction<'_>,
    skus: &[&str],
    currencies: &[&str],
) -> Result<HashMap<String, Known>, Error> {
    let sql = "SELECT v.sku, v.id, p.id, p.title, p.slug, p.description, p.status, c.amount,
                   (SELECT count(*) FROM variants o WHERE o.product_id = p.id) > 1
               FROM unnest($1::text[], $2::text[]) AS d (sku, currency)
               JOIN variants v ON v.sku = d.sku
               JOIN products p ON p.id = v.product_id
               LEFT JOIN prices c ON c.variant_id = v.id AND c.currency = d.currency";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&skus, &currencies]).await?;
    let known = rows.iter().map(|row| {
        let known = Known {
            variant: VariantId::from(row.get::<_, Uuid>(1)),
            product: ProductId::from(row.get::<_, Uuid>(2)),
            title: row.get(3),
            slug: row.get(4),
            description: row.get(5),
            // A CHECK of the table keeps to the known ones.
            status: product::status(row.get(6)).unwrap_or(Status::Draft),
            amount: row.get(7),
            has_siblings: row.get(8),
        };
        (row.get(0), known)
    });
    Ok(known.collect())
}

/// Those of the slugs that some product has.
pub async fn taken_slugs(
    transaction: &Transaction<'_>,
    slugs: &[&str],
) -> Result<HashSet<String>, Error> {
    let sql = "SELECT slug FROM products WHERE slug = ANY($1)";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&slugs]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Locks the products that change, by key, and what is shown of them.
pub async fn lock(transaction: &Transaction<'_>, changes: &[Change]) -> Result<(), Error> {
    let ids: Vec<ProductId> = changes.iter().map(|change| change.product).collect();
    let products: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let sql = "SELECT id FROM products WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.query(&statement, &[&products]).await?;
    lock_search(transaction, &ids).await
}

/// Writes changes of products that are locked. The offer versions must grow in the same
/// transaction: see [`super::write::bump_offers`].
pub async fn change(transaction: &Transaction<'_>, changes: &[Change]) -> Result<(), Error> {
    let products: Vec<Uuid> = changes.iter().map(|change| change.product.uuid()).collect();
    let update = "UPDATE products p SET
                      title = coalesce(d.title, p.title),
                      slug = coalesce(d.slug, p.slug),
                      description = coalesce(d.description, p.description),
                      status = coalesce(d.status, p.status),
                      version = p.version + 1,
                      updated_at = now()
                  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
                       AS d (id, title, slug, description, status)
                  WHERE p.id = d.id";
    let update = transaction.prepare_cached(update).await?;
    let titles: Vec<_> = changes.iter().map(|change| change.title.as_deref()).collect();
    let slugs: Vec<_> = changes.iter().map(|change| change.slug.as_deref()).collect();
    let descriptions: Vec<_> =
        changes.iter().map(|change| change.description.as_deref()).collect();
    let statuses: Vec<_> =
        changes.iter().map(|change| change.status.map(Status::as_str)).collect();
    transaction.execute(&update, &[&products, &titles, &slugs, &descriptions, &statuses]).await?;
    Ok(())
}

/// Writes the changed prices of variants whose stock is locked; the same holds for their offers.
pub async fn price(transaction: &Transaction<'_>, changes: &[Change]) -> Result<(), Error> {
    let priced = changes.iter().filter_map(|change| Some((change.variant, change.price?)));
    set_prices(transaction, &priced.collect::<Vec<_>>()).await
}
