//! The addresses that customers have saved.

use crate::contact::Address;
use crate::customer::store::addresses::{self as store, SavedAddress};
use crate::error::{Problem, Violations};
use crate::id::AddressId;
use crate::idempotency::{Claim, Reply, once};
use crate::json::Json;
use crate::postgres::Postgres;
use crate::session::routes::LoggedIn;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An address to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "address": {"name": "Ada Lovelace", "line1": "12 St James's Square",
        "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"},
    "is_default": true,
}))]
pub struct SaveAddress {
    /// Where it is.
    address: Address,
    /// Whether it is the one that is offered first; the first one is it by itself.
    #[serde(default)]
    is_default: bool,
}

/// What to change of a saved address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"is_default": true}))]
pub struct UpdateAddress {
    /// Where it is.
    #[serde(default)]
    address: Option<Address>,
    /// Whether it is the one that is offered first; another one takes that from it.
    #[serde(default)]
    is_default: bool,
}

fn check(address: &Address) -> Result<(), Problem> {
    let mut violations = Violations::default();
    address.check("/address", &mut violations);
    violations.finish()
}

/// A saved address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedAddress)]
pub struct AddressBody {
    /// The id.
    id: AddressId,
    /// Where it is.
    address: Address,
    /// Whether it is the one that is offered first.
    is_default: bool,
}

impl From<SavedAddress> for AddressBody {
    fn from(SavedAddress { id, address, is_default }: SavedAddress) -> Self {
        Self { id, address, is_default }
    }
}

/// The saved addresses.
#[derive(Debug, Serialize, ToSchema)]
pub struct Addresses {
    items: Vec<AddressBody>,
    /// There is only one page: at most 50 addresses.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<()>,
}

fn read(id: &str) -> Result<AddressId, Problem> {
    id.parse().map_err(|_| Problem::not_found("address"))
}

/// My addresses, in the order of adding.
#[utoipa::path(
    get, path = "/v1/customers/me/addresses", tag = "customers",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The addresses", body = Addresses)),
)]
pub async fn list_addresses(
    me: LoggedIn,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let found = store::list(&postgres.readers, me.customer).await?;
    let items = found.into_iter().map(AddressBody::from).collect();
    Ok(HttpResponse::Ok().json(Addresses { items, next_cursor: None }))
}

/// Save an address; `conflict` if there are 50 already.
#[utoipa::path(
    post, path = "/v1/customers/me/addresses", tag = "customers", request_body = SaveAddress,
    params(("Idempotency-Key" = Option<String>, Header)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 201, description = "The address", body = AddressBody,
        headers(("Location" = String), ("Idempotent-Replayed" = String)))),
)]
pub async fn create_address(
    me: LoggedIn,
    request: HttpRequest,
    body: Json<SaveAddress>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &me.scope(), &body.hash)?;
    let SaveAddress { address, is_default } = body.value;
    check(&address)?;
    let reply = once(&postgres.writers, claim.as_ref(), async |transaction| {
        let saved = store::add(transaction, me.customer, &address, is_default).await?;
        let location = format!("/v1/customers/me/addresses/{}", saved.id);
        let body = serde_json::to_vec(&AddressBody::from(saved)).map_err(Problem::internal)?;
        Ok(Reply::created(Some(location), body))
    });
    Ok(reply.await?.into())
}

/// One of my addresses.
#[utoipa::path(
    get, path = "/v1/customers/me/addresses/{id}", tag = "customers",
    params(("id" = AddressId, Path)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The address", body = AddressBody)),
)]
pub async fn get_address(
    me: LoggedIn,
    id: web::Path<String>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let found = store::find(&postgres.readers, me.customer, read(&id)?).await?;
    Ok(HttpResponse::Ok().json(AddressBody::from(found)))
}

/// Change one of my addresses.
#[utoipa::path(
    patch, path = "/v1/customers/me/addresses/{id}", tag = "customers",
    params(("id" = AddressId, Path)), request_body = UpdateAddress,
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The address", body = AddressBody)),
)]
pub async fn update_address(
    me: LoggedIn,
    id: web::Path<String>,
    body: Json<UpdateAddress>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let (id, writers) = (read(&id)?, &postgres.writers);
    let UpdateAddress { address, is_default } = body.value;
    address.as_ref().map(check).transpose()?;
    let saved = store::change(writers, me.customer, id, address.as_ref(), is_default).await?;
    Ok(HttpResponse::Ok().json(AddressBody::from(saved)))
}

/// Remove one of my addresses.
#[utoipa::path(
    delete, path = "/v1/customers/me/addresses/{id}", tag = "customers",
    params(("id" = AddressId, Path)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 204, description = "Removed")),
)]
pub async fn remove_address(
    me: LoggedIn,
    id: web::Path<String>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    store::remove(&postgres.writers, me.customer, read(&id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
