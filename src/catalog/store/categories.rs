//! The SQL of categories.

use super::super::category::Category;
use crate::error::Problem;
use crate::id::{CategoryId, ProductId};
use crate::page::Page;
use crate::postgres::reader;
use deadpool_postgres::{GenericClient, Pool, Transaction};
use std::collections::HashSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

/// Every category, siblings in their order.
pub async fn all(client: &impl GenericClient) -> Result<Vec<Category>, Error> {
    select(client, "true ORDER BY position, id", &[]).await
}

/// The same, and nobody else changes the tree until the end of the transaction. Products may
/// come and go meanwhile.
pub async fn lock_all(transaction: &Transaction<'_>) -> Result<Vec<Category>, Error> {
    transaction.batch_execute("LOCK TABLE categories IN SHARE ROW EXCLUSIVE MODE").await?;
    all(transaction).await
}

/// Categories by id: one more than the page holds.
pub async fn list(readers: &Pool, page: Page) -> Result<Vec<Category>, Problem> {
    let client = reader(readers).await?;
    let after = page.after.unwrap_or_default();
    Ok(select(&client, "id > $1 ORDER BY id LIMIT $2", &[&after, &page.fetch()]).await?)
}

/// A category.
pub async fn find(readers: &Pool, id: CategoryId) -> Result<Option<Category>, Problem> {
    let client = reader(readers).await?;
    Ok(select(&client, "id = $1", &[&id.uuid()]).await?.pop())
}

async fn select(
    client: &impl GenericClient,
    condition: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Category>, Error> {
    let sql = format!(
        "SELECT id, parent_id, slug, title, description, position, version FROM categories
         WHERE {condition}"
    );
    let statement = client.prepare_cached(&sql).await?;
    let read = |row: &Row| Category {
        id: row.get::<_, Uuid>(0).into(),
        parent_id: row.get::<_, Option<Uuid>>(1).map(CategoryId::from),
        slug: row.get(2),
        title: row.get(3),
        description: row.get(4),
        position: row.get(5),
        version: row.get(6),
    };
    Ok(client.query(&statement, parameters).await?.iter().map(read).collect())
}

/// Those of the categories that exist. They stay until the end of the transaction.
pub async fn lock_known(
    transaction: &Transaction<'_>,
    ids: &[CategoryId],
) -> Result<HashSet<CategoryId>, Error> {
    let sql = "SELECT id FROM categories WHERE id = ANY($1) ORDER BY id FOR KEY SHARE";
    let statement = transaction.prepare_cached(sql).await?;
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = transaction.query(&statement, &[&ids]).await?;
    Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
}

/// Makes categories, parents before children.
pub async fn insert(transaction: &Transaction<'_>, categories: &[Category]) -> Result<(), Error> {
    let sql = "INSERT INTO categories (id, parent_id, slug, title, description, position)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let statement = transaction.prepare_cached(sql).await?;
    for category in categories {
        let Category { slug, title, description, position, .. } = category;
        let parent = category.parent_id.map(CategoryId::uuid);
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&category.id.uuid(), &parent, slug, title, description, position];
        transaction.execute(&statement, &parameters).await?;
    }
    Ok(())
}

/// Writes a changed category; the tree must be locked.
pub async fn update(transaction: &Transaction<'_>, category: &Category) -> Result<(), Error> {
    let sql = "UPDATE categories SET parent_id = $2, slug = $3, title = $4, description = $5,
                   position = $6, version = version + 1, updated_at = now() WHERE id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    let Category { slug, title, description, position, .. } = category;
    let parent = category.parent_id.map(CategoryId::uuid);
    let parameters: [&(dyn ToSql + Sync); 6] =
        [&category.id.uuid(), &parent, slug, title, description, position];
    transaction.execute(&statement, &parameters).await?;
    Ok(())
}

/// Deletes a category without children; returns the products that stood in it. The tree must be
/// locked. Nobody puts a product into it once its row is locked.
pub async fn delete(
    transaction: &Transaction<'_>,
    id: CategoryId,
) -> Result<Vec<ProductId>, Error> {
    let id = id.uuid();
    let lock = "SELECT id FROM categories WHERE id = $1 FOR UPDATE";
    let lock = transaction.prepare_cached(lock).await?;
    transaction.query(&lock, &[&id]).await?;
    let lock = "SELECT id FROM products
                WHERE id IN (SELECT product_id FROM product_categories WHERE category_id = $1)
                ORDER BY id FOR UPDATE";
    let lock = transaction.prepare_cached(lock).await?;
    transaction.query(&lock, &[&id]).await?;
    let unlink = "DELETE FROM product_categories WHERE category_id = $1 RETURNING product_id";
    let unlink = transaction.prepare_cached(unlink).await?;
    let rows = transaction.query(&unlink, &[&id]).await?;
    let products: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let bump = "UPDATE products SET version = version + 1, updated_at = now()
                WHERE id = ANY($1)";
    let bump = transaction.prepare_cached(bump).await?;
    transaction.execute(&bump, &[&products]).await?;
    let delete = transaction.prepare_cached("DELETE FROM categories WHERE id = $1").await?;
    transaction.execute(&delete, &[&id]).await?;
    Ok(products.into_iter().map(ProductId::from).collect())
}
