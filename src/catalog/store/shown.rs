//! What the store shows, each read in one snapshot.

use super::super::listing::{self, Listing};
use super::{available, search, select};
use crate::cache::Order;
use crate::catalog::product::Product;
use crate::error::Problem;
use crate::id::{ProductId, VariantId};
use crate::postgres::{snapshot, snapshot_order};
use deadpool_postgres::{GenericClient, Object, Pool, Transaction};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tokio_postgres::Row;
use uuid::Uuid;

/// Everything that it reads is of one moment.
pub struct Snapshot<'c>(Transaction<'c>);

impl<'c> Snapshot<'c> {
    /// Begins with the first read.
    pub async fn of(client: &'c mut Object) -> Result<Self, Problem> {
        Ok(Self(snapshot(client).await?))
    }

    /// Where it stands in the order of snapshots.
    pub async fn order(&self) -> Result<Order, Problem> {
        Ok(Order(snapshot_order(&self.0).await?))
    }

    /// The catalog's epoch: it grows with every change of the catalog.
    pub async fn epoch(&self) -> Result<Order, Problem> {
        epoch(&self.0).await
    }

    /// Those of the products that the store shows.
    pub async fn products(&self, ids: &[ProductId]) -> Result<Vec<Product>, Problem> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        select(&self.0, "status = 'active' AND id = ANY($1)", &[&ids]).await
    }

    /// The counts of those of the products that the store shows.
    pub async fn counts(&self, ids: &[ProductId]) -> Result<Vec<Counts>, Problem> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let sql = "SELECT p.id, p.version, ARRAY(
                       SELECT v.id FROM variants v
                       WHERE v.product_id = p.id AND v.archived_at IS NULL
                       ORDER BY v.position, v.id)
                   FROM products p WHERE p.status = 'active' AND p.id = ANY($1)";
        let statement = self.0.prepare_cached(sql).await?;
        let rows = self.0.query(&statement, &[&ids]).await?;
        let variants: Vec<Uuid> =
            rows.iter().flat_map(|row| row.get::<_, Vec<Uuid>>(2)).collect();
        let available = available(&self.0, &variants).await?;
        let counts = |row: &Row| Counts {
            product: row.get::<_, Uuid>(0).into(),
            version: row.get(1),
            available: row.get::<_, Vec<Uuid>>(2).into_iter().map(&available).collect(),
        };
        Ok(rows.iter().map(counts).collect())
    }

    /// Which products have these slugs, shown or not.
    pub async fn slugs(&self, slugs: &[&str]) -> Result<HashMap<String, ProductId>, Problem> {
        let sql = "SELECT slug, id FROM products WHERE slug = ANY($1)";
        let statement = self.0.prepare_cached(sql).await?;
        let rows = self.0.query(&statement, &[&slugs]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get::<_, Uuid>(1).into())).collect())
    }

    /// A page of the products that the store shows.
    pub async fn find(&self, listing: &Listing) -> Result<Found, Problem> {
        let listing::Found { ids, next_cursor, facets } = search::find(&self.0, listing).await?;
        let facets = facets.map(|facets| serde_json::to_string(&facets)).transpose();
        Ok(Found { ids, next_cursor, facets: facets.map_err(Problem::internal)? })
    }
}

/// The catalog's epoch by itself.
pub async fn epoch(client: &impl GenericClient) -> Result<Order, Problem> {
    let statement = client.prepare_cached("SELECT value FROM catalog_epoch").await?;
    let epoch: i64 = client.query_one(&statement, &[]).await?.get(0);
    Ok(Order(epoch.unsigned_abs()))
}

/// What moves of a product: its version with every change, its counts without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The product.
    pub product: ProductId,
    /// Its version.
    pub version: i64,
    /// How many of each variant can be ordered, in the order of the variants.
    pub available: Vec<i64>,
}

/// What a listing finds, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// In the order of the list.
    pub ids: Vec<ProductId>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Facets with their counts, as JSON, if they were asked for.
    pub facets: Option<String>,
}

/// Which products the variants belong to.
pub async fn owners(
    readers: &Pool,
    variants: &[VariantId],
) -> Result<Vec<(VariantId, ProductId)>, Problem> {
    let variants: Vec<Uuid> = variants.iter().map(|id| id.uuid()).collect();
    let client = readers.get().await?;
    let sql = "SELECT id, product_id FROM variants WHERE id = ANY($1)";
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&variants]).await?;
    let owner = |row: &Row| (row.get::<_, Uuid>(0).into(), row.get::<_, Uuid>(1).into());
    Ok(rows.iter().map(owner).collect())
}
