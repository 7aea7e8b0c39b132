//! The audit log over HTTP.

use crate::audit::{self, Entry, Filter, Position};
use crate::auth::Admin;
use crate::error::Problem;
use crate::page::{List, PageQuery};
use crate::postgres::Postgres;
use crate::query::Params;
use actix_web::{HttpResponse, web};
use time::OffsetDateTime;
use utoipa::IntoParams;

/// Which entries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what the handler reads")]
struct EntryQuery {
    /// By whom.
    #[param(example = "staff_01h455vb4pex5vsknk084sn02q", min_length = 1)]
    actor: Option<String>,
    /// Which operation.
    #[param(example = "update_product", min_length = 1)]
    action: Option<String>,
    /// What was changed.
    #[param(example = "prod_01h455vb4pex5vsknk084sn02q", min_length = 1)]
    target: Option<String>,
    /// From this time on, RFC 3339.
    #[param(example = "2026-11-27T09:00:00Z")]
    created_from: Option<OffsetDateTime>,
    /// … and before this time.
    #[param(example = "2026-11-28T00:00:00Z")]
    created_to: Option<OffsetDateTime>,
    /// Items on the page, 1 to 100; 20 unless said.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Who changed what, newest first. Nobody can change an entry or remove it.
#[utoipa::path(
    get, path = "/v1/admin/audit-log", tag = "admin", params(EntryQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of the log", body = List<Entry>)),
)]
pub async fn list_audit_entries(
    _: Admin,
    mut params: Params,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let filter = Filter {
        actor: params.text("actor")?,
        action: params.text("action")?,
        target: params.text("target")?,
        at: params.created()?,
    };
    let query = PageQuery::take(&mut params)?;
    params.finish()?;
    let (page, before) = query.page_after::<Position>()?;
    let rows = audit::list(&postgres.readers, &filter, before, page.fetch()).await?;
    Ok(HttpResponse::Ok().json(page.list_after(rows, |entry| Position::from(entry))))
}
