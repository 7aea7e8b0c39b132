//! E-mail addresses and passwords: verified, reset, changed.

use super::super::customer::{check_email, check_password};
use super::super::limits::{guessed_as, take_mail};
use super::super::passwords::Passwords;
use super::super::store::{self, tokens};
use super::login::gone;
use crate::auth::{Secrets, hash};
use crate::contact::Email;
use crate::customer::store::tokens::Purpose;
use crate::error::{FieldError, Problem, Violations};
use crate::json::Json;
use crate::peer::Peer;
use crate::postgres::Postgres;
use crate::rate_limit::RateLimits;
use crate::session::Sessions;
use crate::session::routes::LoggedIn;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

/// A token from a mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "dbm_6f1c…"}))]
pub struct VerifyEmail {
    /// From the link in the mail.
    #[schema(max_length = 200)]
    token: String,
}

/// Who has forgotten the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com"}))]
pub struct ResetPassword {
    /// The address of the account.
    #[schema(value_type = Email)]
    email: String,
}

/// The new password, and what proves whose it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "dbm_6f1c…", "password": "analytical engine"}))]
pub struct ConfirmPassword {
    /// From the link in the mail.
    #[schema(max_length = 200)]
    token: String,
    /// 8 to 256 characters; none of the passwords that are tried first.
    #[schema(min_length = 8, max_length = 256, format = Password)]
    password: String,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "current_password": "difference engine", "password": "analytical engine",
}))]
pub struct ChangePassword {
    /// The one so far.
    #[schema(max_length = 256, format = Password)]
    current_password: String,
    /// 8 to 256 characters; none of the passwords that are tried first.
    #[schema(min_length = 8, max_length = 256, format = Password)]
    password: String,
}

/// Another address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "difference engine", "email": "ada@example.org"}))]
pub struct ChangeEmail {
    /// The account's password.
    #[schema(max_length = 256, format = Password)]
    password: String,
    /// The address from then on.
    #[schema(value_type = Email)]
    email: String,
}

/// Verify an e-mail address with the token that was sent to it.
///
/// The token works once. If it is that of a change, the address is the account's from now on;
/// `conflict` if it has another account already.
#[utoipa::path(
    post, path = "/v1/customers/verify-email", tag = "customers", request_body = VerifyEmail,
    responses((status = 204, description = "Verified")),
)]
pub async fn verify_email(
    body: Json<VerifyEmail>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let token = hash(&body.value.token);
    tokens::verify_email(&postgres.writers, &token).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Send me the mail that verifies my address again; nothing is sent if it is verified.
#[utoipa::path(
    post, path = "/v1/customers/me/verification", tag = "customers",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 202, description = "It is on its way")),
)]
pub async fn create_verification(
    me: LoggedIn,
    secrets: web::Data<Secrets>,
    postgres: web::Data<Postgres>,
    limits: web::Data<RateLimits>,
) -> Result<HttpResponse, Problem> {
    let email = store::find(&postgres.readers, me.customer).await?.email;
    take_mail(&limits, "verify", &email).await?;
    tokens::ask_again(&postgres.writers, &secrets, me.customer).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Ask for a new password: a mail with a token is sent to the address, if it has an account.
///
/// The answer is the same if it has none.
#[utoipa::path(
    post, path = "/v1/customers/password-reset", tag = "customers",
    request_body = ResetPassword,
    responses((status = 202, description = "If there is such an account, a mail is on its way")),
)]
pub async fn create_password_reset(
    body: Json<ResetPassword>,
    secrets: web::Data<Secrets>,
    postgres: web::Data<Postgres>,
    limits: web::Data<RateLimits>,
) -> Result<HttpResponse, Problem> {
    let email = body.value.email;
    let mut violations = Violations::default();
    check_email(&email, &mut violations);
    violations.finish()?;
    take_mail(&limits, "reset", &email).await?;
    tokens::ask_for_password(&postgres.writers, &secrets, &email).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Choose a new password with the token that was sent for it.
///
/// The token works once. All sessions of the account end, within a second on all instances.
#[utoipa::path(
    post, path = "/v1/customers/password-reset/confirm", tag = "customers",
    request_body = ConfirmPassword,
    responses((status = 204, description = "Changed")),
)]
pub async fn confirm_password_reset(
    body: Json<ConfirmPassword>,
    passwords: web::Data<Passwords>,
    sessions: web::Data<Sessions>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let ConfirmPassword { token, password } = body.value;
    let mut violations = Violations::default();
    check_password(&password, &mut violations);
    violations.finish()?;
    let token = hash(&token);
    let found = tokens::find(&postgres.readers, &token, Purpose::ResetPassword).await?;
    let (customer, email) = found.ok_or_else(tokens::invalid)?;
    let password_hash = passwords.hash(password, email).await?;
    let ended =
        tokens::reset_password(&postgres.writers, &token, customer, &password_hash).await?;
    gone(&sessions, ended).await
}

/// Change my password. All other sessions of the account end.
#[utoipa::path(
    post, path = "/v1/customers/me/password", tag = "customers", request_body = ChangePassword,
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 204, description = "Changed")),
)]
pub async fn update_password(
    me: LoggedIn,
    peer: Peer,
    body: Json<ChangePassword>,
    limits: web::Data<RateLimits>,
    passwords: web::Data<Passwords>,
    sessions: web::Data<Sessions>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let ChangePassword { current_password, password } = body.value;
    let mut violations = Violations::default();
    check_password(&password, &mut violations);
    violations.finish()?;
    let wrong = || not_the_password("/current_password");
    let account = store::own_login(&postgres.readers, me.customer).await?;
    let guess = limits.guess(&guessed_as(&account.email), peer).await?;
    let former = &*account.password_hash;
    passwords.prove(guess, current_password, Some(former)).await?.ok_or_else(wrong)?;
    let hash = passwords.hash(password, account.email).await?;
    let LoggedIn { customer: id, session, .. } = me;
    let ended = tokens::change_password(&postgres.writers, id, session, former, &hash).await?;
    gone(&sessions, ended.ok_or_else(wrong)?).await
}

/// Change my e-mail address, once the new one is verified.
///
/// A token is sent to the new address and a notice to the one so far, which stays until then. The
/// answer is the same if the new one has an account already.
#[utoipa::path(
    post, path = "/v1/customers/me/email", tag = "customers", request_body = ChangeEmail,
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 202, description = "The mails are on their way")),
)]
pub async fn update_email(
    me: LoggedIn,
    peer: Peer,
    body: Json<ChangeEmail>,
    limits: web::Data<RateLimits>,
    passwords: web::Data<Passwords>,
    secrets: web::Data<Secrets>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let ChangeEmail { password, email } = body.value;
    let mut violations = Violations::default();
    check_email(&email, &mut violations);
    violations.finish()?;
    let account = store::own_login(&postgres.readers, me.customer).await?;
    let guess = limits.guess(&guessed_as(&account.email), peer).await?;
    let proven = passwords.prove(guess, password, Some(&account.password_hash)).await?;
    proven.ok_or_else(|| not_the_password("/password"))?;
    take_mail(&limits, "change", &email).await?;
    let (writers, proven) = (&postgres.writers, &account.password_hash);
    let asked = tokens::ask_for_email(writers, &secrets, me.customer, proven, &email).await?;
    asked.ok_or_else(|| not_the_password("/password"))?;
    Ok(HttpResponse::Accepted().finish())
}

/// No 401: the session is good.
fn not_the_password(pointer: &str) -> Problem {
    Problem::validation(vec![FieldError::new(pointer, "is not the account's password")])
}
