//! Everything that is held of a customer: given out, or erased.

use super::CustomerBody;
use super::addresses::AddressBody;
use super::login::gone;
use crate::cart::Carts;
use crate::contact::Email;
use crate::customer::store::{self, addresses, erasure, tokens};
use crate::error::Problem;
use crate::id::{CustomerId, MailId, SessionId, ShopperId};
use crate::order::OrderBody;
use crate::order::store::list_of_shopper;
use crate::postgres::Postgres;
use crate::session::routes::{LoggedIn, no_cookie};
use crate::session::{self, Session, Sessions, customer_scope};
use crate::{idempotency, mail};
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use deadpool_postgres::Pool;
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// Orders of one read.
const PAGE: i64 = 20;

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
    mails: Vec<HeldMail>,
    /// What proves that the customer reads the mail of an address.
    tokens: Vec<HeldToken>,
    /// The keys of requests, for as long as they are kept.
    idempotency_keys: Vec<HeldKey>,
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

/// A mail.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "mail_01h455vb4pex5vsknk084sn02q", "kind": "email_changes",
    "recipient": "ada@example.com", "payload": {"email": "ada@example.org"},
    "created_at": "2026-11-27T09:00:00Z", "sent_at": "2026-11-27T09:00:01Z",
}))]
pub struct HeldMail {
    id: MailId,
    /// What it is about.
    #[schema(example = "verify_email")]
    kind: String,
    /// Where it was sent to.
    #[schema(value_type = Email)]
    recipient: String,
    /// What was put into the text.
    #[schema(value_type = Object)]
    payload: Value,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    sent_at: Option<OffsetDateTime>,
}

/// A token; of itself only a hash is held.
#[derive(Serialize, ToSchema)]
pub struct HeldToken {
    /// What it is for.
    #[schema(example = "verify_email")]
    purpose: String,
    /// Where it was sent to.
    #[schema(value_type = Email)]
    email: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// An idempotency key.
#[derive(Serialize, ToSchema)]
pub struct HeldKey {
    /// Its name.
    #[schema(example = "0190f3d2-7c1e-7a52-9d8e-1f2a3b4c5d6e")]
    key: String,
    /// The status of the saved reply.
    #[schema(required)]
    status: Option<i16>,
    /// What it made.
    #[schema(required)]
    location: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Everything that is held of me, as one JSON document.
///
/// The orders are read while they are sent. A failure closes the connection, so that nobody takes
/// a part for the whole.
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
    let shopper = ShopperId::from(me.customer.uuid());
    let start = Some((Bytes::from(head), None));
    let body = stream::try_unfold(start, move |state: Option<(Bytes, Option<Uuid>)>| {
        let postgres = postgres.clone();
        async move {
            let Some((head, before)) = state else { return Ok(None) };
            let orders = list_of_shopper(&postgres.readers, shopper, before, PAGE).await?;
            let next = orders.last().map(|order| order.placement.id.uuid());
            let next = next.filter(|_| i64::try_from(orders.len()) == Ok(PAGE));
            let mut page = head.to_vec();
            for (index, order) in orders.iter().enumerate() {
                if before.is_some() || index > 0 {
                    page.push(b',');
                }
                page.extend(order.body().to_bytes());
            }
            if next.is_none() {
                page.extend(b"]}");
            }
            let next = next.map(|id| (Bytes::new(), Some(id)));
            Ok::<_, Problem>(Some((Bytes::from(page), next)))
        }
    });
    let name = "attachment; filename=\"customer.json\"";
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_DISPOSITION, name)).content_type("application/json");
    Ok(response.streaming(Box::pin(body)))
}

/// The document up to the first order.
async fn head(id: CustomerId, carts: &Carts, readers: &Pool) -> Result<Vec<u8>, Problem> {
    let cart = carts.show(ShopperId::from(id.uuid())).await?;
    let cart = serde_json::from_slice(&cart.body).map_err(Problem::internal)?;
    let sessions = session::held(readers, id).await?.into_iter();
    let mails = mail::store::held(readers, id.uuid()).await?.into_iter();
    let tokens = tokens::held(readers, id).await?.into_iter();
    let keys = idempotency::held(readers, &customer_scope(id)).await?.into_iter();
    let export = CustomerExport {
        exported_at: OffsetDateTime::now_utc(),
        customer: store::find(readers, id).await?.into(),
        addresses: addresses::list(readers, id).await?.into_iter().map(Into::into).collect(),
        cart,
        sessions: sessions.map(HeldSession::from).collect(),
        mails: mails.map(HeldMail::from).collect(),
        tokens: tokens.map(HeldToken::from).collect(),
        idempotency_keys: keys.map(HeldKey::from).collect(),
        orders: [],
    };
    let mut head = serde_json::to_vec(&export).map_err(Problem::internal)?;
    // The orders are the last member: their list is left open.
    head.truncate(head.len() - b"]}".len());
    Ok(head)
}

impl From<Session> for HeldSession {
    fn from(Session { id, created_at, expires_at, .. }: Session) -> Self {
        Self { id, created_at, expires_at }
    }
}

impl From<mail::store::Held> for HeldMail {
    fn from(mail: mail::store::Held) -> Self {
        let mail::store::Held { id, kind, recipient, payload, created_at, sent_at } = mail;
        Self { id, kind, recipient, payload, created_at, sent_at }
    }
}

impl From<tokens::Held> for HeldToken {
    fn from(token: tokens::Held) -> Self {
        let tokens::Held { purpose, email, created_at, expires_at } = token;
        Self { purpose, email, created_at, expires_at }
    }
}

impl From<idempotency::Held> for HeldKey {
    fn from(key: idempotency::Held) -> Self {
        let idempotency::Held { key, status, location, created_at } = key;
        Self { key, status, location, created_at }
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
    let ended = erasure::erase(&postgres.writers, me.customer).await?;
    let mut response = gone(&sessions, ended).await?;
    response.add_cookie(&no_cookie()).map_err(Problem::internal)?;
    Ok(response)
}
