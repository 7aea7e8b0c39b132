//! Orders that were placed without logging in.

use crate::customer::store;
use crate::error::{FieldError, Problem};
use crate::id::{OrderId, ShopperId};
use crate::json::Json;
use crate::order::OrderBody;
use crate::order::store::find_of_shopper;
use crate::postgres::Postgres;
use crate::session::routes::LoggedIn;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

/// An order that was placed without logging in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimOrder {
    /// Which one.
    #[schema(value_type = OrderId)]
    order_id: String,
}

/// Take an order over that was placed without logging in, with my verified e-mail address.
///
/// `forbidden` until the address is verified. Whoever asks again gets the order again.
#[utoipa::path(
    post, path = "/v1/customers/me/orders", tag = "customers", request_body = ClaimOrder,
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The order", body = OrderBody<'static>)),
)]
pub async fn claim_order(
    me: LoggedIn,
    body: Json<ClaimOrder>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let unknown = || {
        let detail = "is no order that was placed with this account's address";
        Problem::validation(vec![FieldError::new("/order_id", detail)])
    };
    let order: OrderId = body.value.order_id.parse().map_err(|_| unknown())?;
    if !store::claim(&postgres.writers, me.customer, order).await? {
        return Err(unknown());
    }
    let shopper = ShopperId::from(me.customer.uuid());
    let found = async { find_of_shopper(postgres.readers.get().await?, order, shopper).await };
    let order = found.await.map_err(|_: Problem| Problem::unknown_outcome())?;
    Ok(HttpResponse::Ok().json(order.ok_or_else(unknown)?.body()))
}
