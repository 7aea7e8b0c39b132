//! Customers over HTTP: registering, logging in, and what is theirs.

pub mod addresses;
pub mod everything;
pub mod login;
pub mod orders;
pub mod proofs;

use super::customer::{Customer, check_email, check_password, check_text};
use super::limits::take_mail;
use super::passwords::Passwords;
use super::store::{self, NewCustomer};
use crate::auth::Secrets;
use crate::contact::Email;
use crate::error::{Problem, Violations};
use crate::id::CustomerId;
use crate::json::{Field, Json};
use crate::postgres::Postgres;
use crate::rate_limit::RateLimits;
use crate::session::routes::LoggedIn;
use crate::version::{IfMatch, etag};
use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Someone who registers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "email": "ada@example.com", "password": "difference engine", "name": "Ada Lovelace",
}))]
pub struct RegisterCustomer {
    /// Where to write to, and what to log in with.
    #[schema(value_type = Email)]
    email: String,
    /// 8 to 256 characters; none of the passwords that are tried first.
    #[schema(min_length = 8, max_length = 256, format = Password)]
    password: String,
    /// How to address them.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, example = "Ada Lovelace")]
    name: Option<String>,
    /// How to call them.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, example = "+44 20 7946 0018")]
    phone: Option<String>,
}

/// What to change of a profile; `null` clears.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ada King", "phone": null}))]
pub struct UpdateCustomer {
    /// How to address them.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    name: Field<String>,
    /// How to call them.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    phone: Field<String>,
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Customer)]
pub struct CustomerBody {
    /// The id.
    id: CustomerId,
    /// The address, as it was typed.
    #[schema(value_type = Email)]
    email: String,
    /// Whether somebody who reads its mail has said so.
    email_verified: bool,
    /// How to address them.
    #[schema(required)]
    name: Option<String>,
    /// How to call them.
    #[schema(required)]
    phone: Option<String>,
    /// Grows by one with every change; also the `ETag`.
    version: i64,
    /// When they registered.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Customer> for CustomerBody {
    fn from(customer: Customer) -> Self {
        let Customer { id, email, is_email_verified, name, phone, version, created_at } =
            customer;
        Self { id, email, email_verified: is_email_verified, name, phone, version, created_at }
    }
}

/// Register.
///
/// `conflict` if the address has an account already. Nobody is logged in by this. A mail with a
/// token to verify the address is on its way. An
/// `Idempotency-Key` is ignored, because nothing that is made of a password is kept but its slow
/// hash; whoever asks again learns that there is an account.
#[utoipa::path(
    post, path = "/v1/customers", tag = "customers", request_body = RegisterCustomer,
    responses((status = 201, description = "The customer", body = CustomerBody,
        headers(("Location" = String), ("ETag" = String)))),
)]
pub async fn create_customer(
    body: Json<RegisterCustomer>,
    passwords: web::Data<Passwords>,
    secrets: web::Data<Secrets>,
    postgres: web::Data<Postgres>,
    limits: web::Data<RateLimits>,
) -> Result<HttpResponse, Problem> {
    let RegisterCustomer { email, password, name, phone } = body.value;
    let mut violations = Violations::default();
    check_email(&email, &mut violations);
    check_password(&password, &mut violations);
    check_text(name.as_deref(), "/name", &mut violations);
    check_text(phone.as_deref(), "/phone", &mut violations);
    violations.finish()?;
    take_mail(&limits, "register", &email).await?;
    let password_hash = passwords.hash(password, email.clone()).await?;
    let new = NewCustomer { email, password_hash, name, phone };
    let customer = store::create(&postgres.writers, &secrets, &new).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, "/v1/customers/me"));
    Ok(shown(response, customer))
}

/// My profile.
#[utoipa::path(
    get, path = "/v1/customers/me", tag = "customers",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The customer", body = CustomerBody,
        headers(("ETag" = String)))),
)]
pub async fn get_customer(
    me: LoggedIn,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let customer = store::find(&postgres.readers, me.customer).await?;
    Ok(shown(HttpResponse::Ok(), customer))
}

/// Change my profile.
#[utoipa::path(
    patch, path = "/v1/customers/me", tag = "customers", request_body = UpdateCustomer,
    params(("If-Match" = Option<String>, Header)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The customer", body = CustomerBody,
        headers(("ETag" = String)))),
)]
pub async fn update_customer(
    me: LoggedIn,
    if_match: IfMatch,
    body: Json<UpdateCustomer>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let UpdateCustomer { name, phone } = body.value;
    let (name, phone) = (name.optional(), phone.optional());
    let mut violations = Violations::default();
    check_text(name.as_ref().and_then(Option::as_deref), "/name", &mut violations);
    check_text(phone.as_ref().and_then(Option::as_deref), "/phone", &mut violations);
    violations.finish()?;
    let customer = store::update(&postgres.writers, me.customer, |customer| {
        if_match.check(customer.version)?;
        if let Some(name) = name {
            customer.name = name;
        }
        if let Some(phone) = phone {
            customer.phone = phone;
        }
        Ok(())
    });
    Ok(shown(HttpResponse::Ok(), customer.await?))
}

fn shown(mut response: actix_web::HttpResponseBuilder, customer: Customer) -> HttpResponse {
    response.insert_header(etag(customer.version));
    response.json(CustomerBody::from(customer))
}
