//! Stock over HTTP, for staff.

use super::actor::Inventory;
use super::stock::{DEFAULT_LOCATION, Level, QUANTITY_MAX, StockKey};
use super::store::{self, Adjusted, LedgerEntry, Stocked};
use crate::audit::{Change, record};
use crate::auth::Admin;
use crate::catalog::Storefront;
use crate::error::{Code, FieldError, Problem, Violations};
use crate::id::{AdjustmentId, LocationId, VariantId};
use crate::idempotency::{Claim, Reply, once};
use crate::json::Json;
use crate::page::{List, PageQuery};
use crate::postgres::Postgres;
use crate::query::Params;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

/// A change of stock made by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdjustment {
    /// What, by SKU …
    #[serde(default)]
    #[schema(example = "MUG-1", min_length = 1, max_length = 100)]
    sku: Option<String>,
    /// … or by id.
    #[serde(default)]
    #[schema(value_type = Option<VariantId>)]
    variant_id: Option<String>,
    /// Units, signed: −1,000,000 to 1,000,000, not 0.
    #[schema(example = 100, minimum = -1_000_000, maximum = 1_000_000)]
    quantity: i64,
    /// Why, for the ledger.
    #[schema(
        example = "received",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    )]
    reason: String,
    /// Where; the default location unless given.
    #[serde(default)]
    #[schema(value_type = Option<LocationId>)]
    location_id: Option<String>,
}

/// A change of stock that was made by hand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StockAdjustment)]
pub struct Adjustment {
    id: AdjustmentId,
    variant_id: VariantId,
    location_id: LocationId,
    /// Units, signed.
    #[schema(example = 100)]
    quantity: i64,
    /// Why.
    #[schema(example = "received")]
    reason: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The level after it; only in the 201 and its replays.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<LevelBody>,
}

impl From<Adjusted> for Adjustment {
    fn from(Adjusted { id, key, quantity, reason, created_at }: Adjusted) -> Self {
        let StockKey { variant: variant_id, location: location_id } = key;
        Self { id, variant_id, location_id, quantity, reason, created_at, level: None }
    }
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
    #[schema(example = "MUG-1")]
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
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what the handler reads")]
struct LevelQuery {
    /// Only this SKU.
    #[param(example = "MUG-1", min_length = 1)]
    sku: Option<String>,
    /// Items on the page, 1 to 100; 20 unless said.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A movement of stock: by how much it changed each count.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StockMovement)]
pub struct MovementBody {
    /// Ascends with time for each stock row.
    #[schema(example = "1024")]
    id: String,
    variant_id: VariantId,
    #[schema(example = "MUG-1")]
    sku: String,
    location_id: LocationId,
    /// `adjustment`, `order_placed`, `order_paid`, `order_cancelled` or `order_expired`.
    #[schema(example = "order_placed")]
    cause: String,
    /// The id of the adjustment or of the order.
    #[schema(example = "ord_01h455vb4pex5vsknk084sn02q")]
    reference: String,
    #[serde(flatten)]
    delta: LevelBody,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<LedgerEntry> for MovementBody {
    fn from(entry: LedgerEntry) -> Self {
        let reference = entry.reference();
        let LedgerEntry { key, sku, cause, deltas, created_at, .. } = entry;
        let StockKey { variant: variant_id, location: location_id } = key.stock;
        let [supplied, available, held, sold] = deltas;
        let delta = LevelBody { supplied, available, held, sold };
        let id = key.id.to_string();
        Self { id, variant_id, sku, location_id, cause, reference, delta, created_at }
    }
}

/// Whose movements; one of `sku` and `variant_id`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what the handler reads")]
struct LedgerQuery {
    /// What, by SKU …
    #[param(example = "MUG-1", min_length = 1)]
    sku: Option<String>,
    /// … or by id.
    variant_id: Option<VariantId>,
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
    responses(
        (status = 201, description = "The adjustment", body = Adjustment,
            headers(("Location" = String), ("Idempotent-Replayed" = String))),
    ),
)]
pub async fn create_stock_adjustment(
    admin: Admin,
    request: HttpRequest,
    body: Json<NewAdjustment>,
    postgres: web::Data<Postgres>,
    inventory: web::Data<Inventory>,
    storefront: web::Data<Storefront>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &admin.key_scope(), &body.hash)?;
    check(&body.value)?;
    let mut adjusted = None;
    let reply = once(&postgres.writers, claim.as_ref(), async |transaction| {
        let (key, level, adjustment) = adjust(transaction, &body.value).await?;
        record(transaction, &admin, &Change::made(adjustment.id, &adjustment)?).await?;
        let reply = serde_json::to_vec(&adjustment).map_err(Problem::internal)?;
        adjusted = Some(((key, level.available), Instant::now()));
        let location = format!("/v1/admin/stock/adjustments/{}", adjustment.id);
        Ok(Reply::created(Some(location), reply))
    });
    let reply = reply.await?;
    if let Some((available, at)) = adjusted {
        let variant = available.0.variant;
        inventory.observe(vec![available], at).await;
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
) -> Result<(StockKey, Level, Adjustment), Problem> {
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
    let (id, quantity, reason) = (AdjustmentId::new(), wanted.quantity, wanted.reason.trim());
    let created_at = store::adjust(transaction, id, key, quantity, reason).await?;
    let adjusted = Adjusted { id, key, quantity, reason: reason.to_owned(), created_at };
    Ok((key, after, Adjustment { level: Some(after.into()), ..adjusted.into() }))
}

/// One stock adjustment.
#[utoipa::path(
    get, path = "/v1/admin/stock/adjustments/{id}", tag = "admin",
    params(("id" = AdjustmentId, Path)),
    security(("admin_key" = [])),
    responses((status = 200, description = "The adjustment", body = Adjustment)),
)]
pub async fn get_stock_adjustment(
    _: Admin,
    id: web::Path<String>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::not_found("stock adjustment");
    let id = id.parse().map_err(|_| unknown())?;
    let adjusted = store::find_adjustment(&postgres.readers, id).await?;
    Ok(shown(&Adjustment::from(adjusted.ok_or_else(unknown)?)))
}

/// The stock, row by row.
#[utoipa::path(
    get, path = "/v1/admin/stock/levels", tag = "admin", params(LevelQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of stock rows", body = List<StockRow>)),
)]
pub async fn list_stock_levels(
    _: Admin,
    mut params: Params,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let (sku, query) = (params.text("sku")?, PageQuery::take(&mut params)?);
    params.finish()?;
    let (page, after) = query.page_after::<(VariantId, LocationId)>()?;
    let after = after.map(|(variant, location)| StockKey { variant, location });
    let rows = store::levels(&postgres.readers, sku.as_deref(), after, page.fetch()).await?;
    let position = |row: &Stocked| (row.key.variant, row.key.location);
    let List { items, next_cursor } = page.list_after(rows, position);
    Ok(shown(&List { items: items.into_iter().map(StockRow::from).collect(), next_cursor }))
}

/// The movements of a variant's stock, newest first.
#[utoipa::path(
    get, path = "/v1/admin/stock/ledger", tag = "admin", params(LedgerQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of movements", body = List<MovementBody>)),
)]
pub async fn list_stock_movements(
    _: Admin,
    mut params: Params,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let (sku, query) = (params.text("sku")?, PageQuery::take(&mut params)?);
    let variant: Option<VariantId> = params.parsed("variant_id", "must be a variant's id")?;
    params.finish()?;
    if sku.is_some() == variant.is_some() {
        return Err(Problem::invalid("sku", "give either sku or variant_id"));
    }
    let (page, before) = query.page_after::<i64>()?;
    let readers = &postgres.readers;
    let rows = store::ledger(readers, sku.as_deref(), variant, before, page.fetch()).await?;
    let List { items, next_cursor } = page.list_after(rows, |entry| entry.key.id);
    Ok(shown(&List { items: items.into_iter().map(MovementBody::from).collect(), next_cursor }))
}

fn shown(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
