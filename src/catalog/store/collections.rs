//! The SQL of collections.

use super::super::collection::{AdminCollection, Collection, CollectionDraft};
use super::super::slug;
use super::write::lock_search;
use crate::error::Problem;
use crate::id::{CollectionId, ProductId};
use crate::page::Page;
use crate::postgres::reader;
use deadpool_postgres::{GenericClient, Pool, Transaction};
use std::collections::HashSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

/// So many numbers are tried for a derived slug.
const ATTEMPTS_MAX: u32 = 100;

/// Collections by id: one more than the page holds.
pub async fn list(readers: &Pool, page: Page) -> Result<Vec<Collection>, Problem> {
    let client = reader(readers).await?;
    let after = page.after.unwrap_or_default();
    Ok(select(&client, "id > $1 ORDER BY id LIMIT $2", &[&after, &page.fetch()]).await?)
}

/// The collection of a slug.
pub async fn find_slug(readers: &Pool, slug: &str) -> Result<Option<Collection>, Problem> {
    Ok(select(&reader(readers).await?, "slug = $1", &[&slug]).await?.pop())
}

/// A collection with its products.
pub async fn find(
    client: &impl GenericClient,
    id: CollectionId,
) -> Result<Option<AdminCollection>, Problem> {
    let found = select(client, "id = $1", &[&id.uuid()]).await?.pop();
    with_products(client, found).await
}

/// The same, and nobody else changes it until the end of the transaction.
pub async fn lock(
    transaction: &Transaction<'_>,
    id: CollectionId,
) -> Result<Option<AdminCollection>, Problem> {
    let found = select(transaction, "id = $1 FOR UPDATE", &[&id.uuid()]).await?.pop();
    with_products(transaction, found).await
}

async fn select(
    client: &impl GenericClient,
    condition: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Collection>, Error> {
    let sql = format!(
        "SELECT id, slug, title, description, version FROM collections WHERE {condition}"
    );
    let statement = client.prepare_cached(&sql).await?;
    let read = |row: &Row| Collection {
        id: row.get::<_, Uuid>(0).into(),
        slug: row.get(1),
        title: row.get(2),
        description: row.get(3),
        version: row.get(4),
    };
    Ok(client.query(&statement, parameters).await?.iter().map(read).collect())
}

async fn with_products(
    client: &impl GenericClient,
    collection: Option<Collection>,
) -> Result<Option<AdminCollection>, Problem> {
    let Some(collection) = collection else { return Ok(None) };
    let sql = "SELECT product_id FROM collection_products WHERE collection_id = $1
               ORDER BY position, product_id";
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&collection.id.uuid()]).await?;
    let product_ids = rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect();
    Ok(Some(AdminCollection { collection, product_ids }))
}

/// Those of the products that exist, locked against nothing but their removal, by key.
pub async fn lock_products(
    transaction: &Transaction<'_>,
    ids: &[ProductId],
) -> Result<HashSet<ProductId>, Error> {
    let sql = "SELECT id FROM products WHERE id = ANY($1) ORDER BY id FOR KEY SHARE";
    let statement = transaction.prepare_cached(sql).await?;
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = transaction.query(&statement, &[&ids]).await?;
    Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
}

/// Makes a collection; false if its slug is taken. Its products must be locked.
pub async fn insert(
    transaction: &Transaction<'_>,
    id: CollectionId,
    draft: &CollectionDraft,
) -> Result<bool, Error> {
    let sql = "INSERT INTO collections (id, slug, title, description) VALUES ($1, $2, $3, $4)
               ON CONFLICT (slug) DO NOTHING";
    let statement = transaction.prepare_cached(sql).await?;
    let base = slug::of_title(&draft.title, "collection");
    let slugs: Vec<String> = match &draft.slug {
        Some(given) => vec![given.clone()],
        None => {
            // The last one is nobody else's: ids are random at the end.
            let tail = id.uuid().as_u128() as u32 | 1 << 31;
            (1..=ATTEMPTS_MAX).chain([tail]).map(|n| slug::numbered(&base, n)).collect()
        }
    };
    for slug in slugs {
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&id.uuid(), &slug, &draft.title, &draft.description];
        if transaction.execute(&statement, &parameters).await? == 1 {
            insert_products(transaction, id, &draft.product_ids).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

async fn insert_products(
    transaction: &Transaction<'_>,
    id: CollectionId,
    products: &[ProductId],
) -> Result<(), Error> {
    let sql = "INSERT INTO collection_products (collection_id, product_id, position)
               SELECT $1, product_id, position
               FROM unnest($2::uuid[]) WITH ORDINALITY AS d (product_id, position)
               ORDER BY product_id";
    let statement = transaction.prepare_cached(sql).await?;
    let products: Vec<Uuid> = products.iter().map(|id| id.uuid()).collect();
    transaction.execute(&statement, &[&id.uuid(), &products]).await?;
    Ok(())
}

/// Writes a changed collection that is locked, as its products are.
pub async fn update(
    transaction: &Transaction<'_>,
    before: &AdminCollection,
    after: &AdminCollection,
) -> Result<(), Error> {
    let sql = "UPDATE collections SET slug = $2, title = $3, description = $4,
                   version = version + 1, updated_at = now() WHERE id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    let Collection { id, slug, title, description, .. } = &after.collection;
    transaction.execute(&statement, &[&id.uuid(), slug, title, description]).await?;
    if before.product_ids != after.product_ids {
        // All at once: those that leave and those that come are written one after the other.
        let concerned = [&*before.product_ids, &*after.product_ids].concat();
        lock_search(transaction, &concerned).await?;
        let clear = "DELETE FROM collection_products WHERE collection_id = $1";
        let clear = transaction.prepare_cached(clear).await?;
        transaction.execute(&clear, &[&id.uuid()]).await?;
        insert_products(transaction, *id, &after.product_ids).await?;
    }
    Ok(())
}

/// Deletes a collection; its products stay.
pub async fn delete(transaction: &Transaction<'_>, id: CollectionId) -> Result<(), Error> {
    let statement = transaction.prepare_cached("DELETE FROM collections WHERE id = $1").await?;
    transaction.execute(&statement, &[&id.uuid()]).await?;
    Ok(())
}
