//! Orders over HTTP, for staff.

use super::super::body::OrderBody;
use super::super::order::{PaymentStatus, Status};
use super::super::store::{self, Filter};
use super::{shown, shown_page};
use crate::auth::Admin;
use crate::error::Problem;
use crate::id::OrderId;
use crate::page::{List, PageQuery};
use crate::postgres::{Postgres, reader};
use crate::query::Params;
use actix_web::{HttpResponse, web};
use time::OffsetDateTime;
use utoipa::IntoParams;

/// Which orders. All conditions must hold.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `filter` and `PageQuery::take` read")]
struct OrderQuery {
    /// Where they stand; given several times, any of these.
    status: Option<Vec<Status>>,
    /// Where their money stands.
    payment_status: Option<PaymentStatus>,
    /// Who ordered: the whole address, in upper or lower case.
    #[param(example = "ada@example.com", min_length = 1)]
    email: Option<String>,
    /// Only those with a line of this SKU.
    #[param(example = "MUG-1", min_length = 1)]
    sku: Option<String>,
    /// Placed at this time or later, RFC 3339.
    #[param(example = "2026-11-27T09:00:00Z")]
    created_from: Option<OffsetDateTime>,
    /// Placed before this time, RFC 3339.
    #[param(example = "2026-11-28T00:00:00Z")]
    created_to: Option<OffsetDateTime>,
    /// Items on the page, 1 to 100; 20 unless said.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

fn filter(params: &mut Params) -> Result<Filter, Problem> {
    let statuses = params.all("status").into_iter().map(|word| {
        let expected = "must be one of pending_payment, confirmed, paid, fulfilled, completed, \
                        cancelled, expired";
        Status::parse(&word).ok_or_else(|| Problem::invalid("status", expected))
    });
    let statuses = statuses.collect::<Result<_, _>>()?;
    let payment_status = params.one("payment_status")?.map(|word| {
        let expected = "must be one of pending, processing, captured, declined, refund_due";
        let status = PaymentStatus::parse(&word);
        status.ok_or_else(|| Problem::invalid("payment_status", expected))
    });
    Ok(Filter {
        statuses,
        payment_status: payment_status.transpose()?,
        email: params.text("email")?,
        sku: params.text("sku")?,
        created: params.created()?,
    })
}

/// Orders, newest first.
///
/// Filters are looked for from the newest order on, for about a second. So a page may hold fewer
/// orders than `limit`, even none, and yet have a `next_cursor`: ask on until it is `null`.
#[utoipa::path(
    get, path = "/v1/admin/orders", tag = "admin", params(OrderQuery),
    security(("admin_key" = [])),
    responses(
        (status = 200, description = "A page of orders", body = List<OrderBody<'static>>),
    ),
)]
pub async fn list_orders(
    _: Admin,
    mut params: Params,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let (filter, page) = (filter(&mut params)?, PageQuery::take(&mut params)?.page()?);
    params.finish()?;
    let (orders, next) = store::search(&postgres.readers, &filter, page).await?;
    Ok(shown_page(&orders, next))
}

/// One order, for staff.
#[utoipa::path(
    get, path = "/v1/admin/orders/{id}", tag = "admin", params(("id" = OrderId, Path)),
    security(("admin_key" = [])),
    responses(
        (status = 200, description = "The order", body = OrderBody<'static>),
    ),
)]
pub async fn get_admin_order(
    _: Admin,
    id: web::Path<String>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::not_found("order");
    let id: OrderId = id.parse().map_err(|_| unknown())?;
    let order = store::find(reader(&postgres.readers).await?, id).await?.ok_or_else(unknown)?;
    Ok(shown(&order.body()))
}
