//! Stock over HTTP, for staff.

use super::actor::Inventory;
use super::stock::{DEFAULT_LOCATION, Level, QUANTITY_MAX, StockKey};
use super::store::{self, Stocked};
use crate::auth::Admin;
use crate::catalog::Storefront;
use crate::error::{Code, FieldError, Problem, Violations};
use crate::id::{AdjustmentId, LocationId, VariantId};
use crate::idempotency::{Claim, Reply, once};
use crate::json::Json;
use crate::page::{List, PageQuery};
use crate::postgres::Postgres;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use utoipa::{IntoParams, ToSchema};

/// A change of stock made by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdjustment {
    /// What, by SKU …
    #[serde(default)]
    #[schema(example = "MUG-1")]
    sku: Option<String>,
    /// … or by id.
    #[serde(default)]
    variant_id: Option<String>,
    /// Units, signed: −1,000,000 to 1,000,000, not 0.
    #[schema(example = 100)]
    quantity: i64,
    /// Why, for the ledger.
    #[schema(example = "received", max_length = 100)]
    reason: String,
    /// Where; the default location unless given.
    #[serde(default)]
    location_id: Option<String>,
}

/// A change of stock, and the level after it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Adjustment {
    id: AdjustmentId,
    variant_id: VariantId,
    location_id: LocationId,
    quantity: i64,
    level: LevelBody,
}

/// The counts of a stock row: supplied = available + held + sold.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StockLevel)]
pub struct LevelBody {
    supplied: i64,
    available: i64,
    held: i64,
    sold: i64,
}

impl From<Level> for LevelBody {
    fn from(level: Level) -> Self {
        let Level { available, held, sold } = level;
        Self { supplied: available + held + sold, available, held, sold }
    }
}

/// A stock row.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockRow {
    variant_id: VariantId,
    sku: String,
    location_id: LocationId,
    #[serde(flatten)]
    level: LevelBody,
}

impl From<Stocked> for StockRow {
    fn from(Stocked { key, sku, level }: Stocked) -> Self {
        let StockKey { variant, location } = key;
        Self { variant_id: variant, sku, location_id: location, level: level.into() }
    }
}

/// Which stock rows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LevelQuery {
    /// Only this SKU.
    sku: Option<String>,
    /// Items on the page, 1 to 100; 20 unless said.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Receive, write off or correct stock.
///
/// Below zero is `out_of_stock`: what is held or sold cannot be written off.
#[utoipa::path(
    post, path = "/v1/admin/stock/adjustments", tag = "admin", request_body = NewAdjustment,
    params(("Idempotency-Key" = Option<String>, Header)),
    security(("admin_key" = [])),
    responses((status = 201, description = "The adjustment", body = Adjustment)),
)]
pub async fn create_stock_adjustment(
    admin: Admin,
    request: HttpRequest,
    body: Json<NewAdjustment>,
    postgres: web::Data<Postgres>,
    inventory: web::Data<Inventory>,
    storefront: web::Data<Storefront>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &admin.scope, &body.hash)?;
    check(&body.value)?;
    let mut adjusted = None;
    let reply = once(&postgres.writers, claim.as_ref(), async |transaction| {
        let adjustment = adjust(transaction, &body.value).await?;
        let reply = serde_json::to_vec(&adjustment).map_err(Problem::internal)?;
        adjusted = Some((adjustment, Instant::now()));
        Ok(Reply::created(None, reply))
    });
    let reply = reply.await?;
    if let Some((adjustment, at)) = adjusted {
        let Adjustment { variant_id: variant, location_id: location, level, .. } = adjustment;
        inventory.observe(vec![(StockKey { variant, location }, level.available)], at).await;
        storefront.restocked(&[variant]).await;
    }
    Ok(reply.into())
}

fn check(adjustment: &NewAdjustment) -> Result<(), Problem> {
    let NewAdjustment { sku, variant_id, quantity, reason, .. } = adjustment;
    let mut violations = Violations::default();
    let has_one = sku.is_some() != variant_id.is_some();
    violations.require(has_one, "/sku", "give either sku or variant_id");
    let is_allowed = *quantity != 0 && (-QUANTITY_MAX..=QUANTITY_MAX).contains(quantity);
    let detail = "must be from -1,000,000 to 1,000,000 and not 0";
    violations.require(is_allowed, "/quantity", detail);
    let is_named = !reason.trim().is_empty() && reason.chars().count() <= 100;
    violations.require(is_named, "/reason", "must have 1 to 100 characters");
    violations.finish()
}

async fn adjust(
    transaction: &Transaction<'_>,
    wanted: &NewAdjustment,
) -> Result<Adjustment, Problem> {
    let unknown =
        |pointer: &str, detail: &str| Problem::validation(vec![FieldError::new(pointer, detail)]);
    let by_id = match &wanted.variant_id {
        Some(id) => Some(id.parse().map_err(|_| unknown("/variant_id", "no such variant"))?),
        None => None,
    };
    let variant = store::variant(transaction, wanted.sku.as_deref(), by_id).await?;
    let pointer = if by_id.is_some() { "/variant_id" } else { "/sku" };
    let variant = variant.ok_or_else(|| unknown(pointer, "there is no such variant"))?;
    let location = match &wanted.location_id {
        None => DEFAULT_LOCATION.into(),
        Some(id) => {
            let known = || unknown("/location_id", "there is no such location");
            let location: LocationId = id.parse().map_err(|_| known())?;
            let exists = store::location_exists(transaction, location).await?;
            if exists { location } else { return Err(known()) }
        }
    };
    let key = StockKey { variant, location };
    let before = store::lock(transaction, key).await?;
    let delta = Level { available: wanted.quantity, held: 0, sold: 0 };
    let after = before.after(delta).ok_or_else(|| {
        let short = FieldError {
            sku: wanted.sku.clone(),
            requested: Some(-wanted.quantity),
            available: Some(before.available),
            ..FieldError::new("/quantity", format!("only {} available", before.available))
        };
        Problem::of_fields(Code::OutOfStock, vec![short])
    })?;
    let id = AdjustmentId::new();
    store::adjust(transaction, id, key, wanted.quantity, wanted.reason.trim()).await?;
    let (variant_id, location_id, quantity) = (variant, location, wanted.quantity);
    Ok(Adjustment { id, variant_id, location_id, quantity, level: after.into() })
}

/// The stock, row by row.
#[utoipa::path(
    get, path = "/v1/admin/stock/levels", tag = "admin", params(LevelQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of stock rows", body = List<StockRow>)),
)]
pub async fn list_stock_levels(
    _: Admin,
    query: web::Query<LevelQuery>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let LevelQuery { sku, limit, cursor } = query.into_inner();
    if sku.as_ref().is_some_and(|sku| sku.contains('\0')) {
        return Err(Problem::invalid("sku", "must not contain NUL"));
    }
    let page = PageQuery { limit, cursor }.page()?;
    let after = StockKey {
        variant: page.after.unwrap_or_default().into(),
        location: uuid::Uuid::max().into(),
    };
    let rows = store::levels(&postgres.readers, sku.as_deref(), after, page.fetch()).await?;
    let list = page.list(rows, |row| row.key.variant.uuid());
    let items: Vec<StockRow> = list.items.into_iter().map(StockRow::from).collect();
    let body = List { items, next_cursor: list.next_cursor };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body))
}
