//! Everything that is held of a customer: given out, or erased.

use super::CustomerBody;
use super::addresses::AddressBody;
use super::login::gone;
use crate::cart::Carts;
use crate::customer::store::{self, addresses, erasure, tokens};
use crate::error::Problem;
use crate::id::{CustomerId, SessionId, ShopperId};
use crate::order::OrderBody;
use crate::order::store::list_of_shopper;
use crate::page::Page;
use crate::postgres::Postgres;
use crate::session::routes::{LoggedIn, no_cookie};
use crate::session::{self, Session, Sessions, customer_scope};
use crate::{idempotency, mail};
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use deadpool_postgres::Pool;
use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// Keys of one read.
const KEYS: i64 = 1_000;
/// Orders of one read.
const ORDERS: u32 = 20;

/// Everything that is held of a customer.
#[derive(Serialize, ToSchema)]
pub struct CustomerExport<'a> {
    /// When it was read.
    #[serde(with = "time::serde::rfc3339")]
    exported_at: OffsetDateTime,
    /// The profile.
    customer: CustomerBody,
    /// The saved addresses.
    addresses: Vec<AddressBody>,
    /// The cart.
    #[schema(value_type = crate::cart::CartBody<'static>)]
    cart: &'a RawValue,
    /// The sessions, also those that are over and were not cleared away yet.
    sessions: Vec<HeldSession>,
    /// What was written to the customer.
    mails: Vec<mail::store::Held>,
    /// What proves that the customer reads the mail of an address.
    tokens: Vec<tokens::Held>,
    /// The keys of requests, for as long as they are kept.
    #[schema(value_type = Vec<idempotency::Held>)]
    idempotency_keys: [(); 0],
    /// The orders with lines and payments, newest first.
    #[schema(value_type = Vec<OrderBody<'static>>)]
    orders: [(); 0],
}

/// A session.
#[derive(Serialize, ToSchema)]
pub struct HeldSession {
    id: SessionId,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Everything that is held of me, as one JSON document.
///
/// Keys and orders are read while they are sent. A failure closes the connection, so that nobody
/// takes a part for the whole.
#[utoipa::path(
    get, path = "/v1/customers/me/export", tag = "customers",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "Everything", body = CustomerExport<'static>,
        headers(("Content-Disposition" = String)))),
)]
pub async fn get_customer_export(
    me: LoggedIn,
    carts: web::Data<Carts>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let head = head(me.customer, &carts, &postgres.readers).await?;
    let parts = stream::try_unfold(Some(Part::Keys(None)), move |part| {
        let postgres = postgres.clone();
        async move {
            let Some(part) = part else { return Ok(None) };
            read(&postgres.readers, me.customer, part).await.map(Some)
        }
    });
    let body = stream::once(ready(Ok(head))).chain(parts);
    let name = "attachment; filename=\"customer.json\"";
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_DISPOSITION, name)).content_type("application/json");
    Ok(response.streaming(Box::pin(body)))
}

/// What stands between the keys, which the head leaves open, and the orders.
const BETWEEN: &[u8] = b"],\"orders\":[";
/// The end, which the orders leave open.
const END: &[u8] = b"]}";

/// The document up to the first key.
async fn head(id: CustomerId, carts: &Carts, readers: &Pool) -> Result<Bytes, Problem> {
    let cart = carts.show(ShopperId::from(id.uuid())).await?;
    let cart = serde_json::from_slice(&cart.body).map_err(Problem::internal)?;
    let sessions = session::held(readers, id).await?.into_iter();
    let export = CustomerExport {
        exported_at: OffsetDateTime::now_utc(),
        customer: store::find(readers, id).await?.into(),
        addresses: addresses::list(readers, id).await?.into_iter().map(Into::into).collect(),
        cart,
        sessions: sessions.map(HeldSession::from).collect(),
        mails: mail::store::held(readers, id.uuid()).await?,
        tokens: tokens::held(readers, id).await?,
        idempotency_keys: [],
        orders: [],
    };
    let mut head = serde_json::to_vec(&export).map_err(Problem::internal)?;
    head.truncate(head.len() - BETWEEN.len() - END.len());
    Ok(head.into())
}

/// What is read page by page, behind the last one of the page before.
enum Part {
    Keys(Option<String>),
    Orders(Option<Uuid>),
}

/// A page of a part, and which comes next.
async fn read(
    readers: &Pool,
    customer: CustomerId,
    part: Part,
) -> Result<(Bytes, Option<Part>), Problem> {
    match part {
        Part::Keys(after) => {
            let scope = customer_scope(customer);
            let keys = idempotency::held(readers, &scope, after.as_deref(), KEYS).await?;
            let mut text = joined(&keys, after.is_some())?;
            let last = keys.last().filter(|_| i64::try_from(keys.len()) == Ok(KEYS));
            let next = match last {
                Some(last) => Part::Keys(Some(last.key.clone())),
                None => {
                    text.extend(BETWEEN);
                    Part::Orders(None)
                }
            };
            Ok((text.into(), Some(next)))
        }
        Part::Orders(after) => {
            let (shopper, page) = (customer.uuid().into(), Page { limit: ORDERS, after });
            let (orders, next) = list_of_shopper(readers, shopper, page).await?;
            let bodies: Vec<OrderBody<'_>> = orders.iter().map(|order| order.body()).collect();
            let mut text = joined(&bodies, after.is_some())?;
            if next.is_none() {
                text.extend(END);
            }
            Ok((text.into(), next.map(|id| Part::Orders(Some(id.uuid())))))
        }
    }
}

/// The items with commas between them, and one before them if others came before.
fn joined(items: &[impl Serialize], has_others: bool) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if has_others || index > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, item).map_err(Problem::internal)?;
    }
    Ok(text)
}

impl From<Session> for HeldSession {
    fn from(Session { id, created_at, expires_at, .. }: Session) -> Self {
        Self { id, created_at, expires_at }
    }
}

/// Erase me: account, addresses, sessions, cart and mails go at once.
///
/// My orders stay, for the shop's books, without e-mail, name, address and telephone number. Those
/// that are not paid yet are held until their time is over.
#[utoipa::path(
    delete, path = "/v1/customers/me", tag = "customers",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 204, description = "Erased", headers(("Set-Cookie" = String)))),
)]
pub async fn delete_customer(
    me: LoggedIn,
    sessions: web::Data<Sessions>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let (ended, found) = erasure::erase(&postgres.writers, me.customer).await?;
    let mut response = gone(&sessions, ended).await?;
    erasure::erase_the_rest(&postgres.writers, me.customer, &found).await;
    response.add_cookie(&no_cookie()).map_err(Problem::internal)?;
    Ok(response)
}
