//! Logging in as one of the staff.

use super::unknown;
use crate::audit::{Change, change_and_record};
use crate::auth::{Admin, Scope, Scopes, Token, TokenHash, bearer, hash};
use crate::contact::Email;
use crate::customer::check_password;
use crate::error::{Code, FieldError, Problem, Violations};
use crate::json::Json;
use crate::peer::Peer;
use crate::postgres::{Postgres, begin, commit};
use crate::staff::credentials::{Credentials, STAFF_TOKEN};
use crate::staff::logins::Logins;
use crate::staff::staff::Staff;
use crate::staff::store::{self, Login, sessions};
use crate::staff::{totp, unauthorized};
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "grace@example.com", "password": "nanoseconds of wire"}))]
pub struct StaffLogIn {
    /// The address of the account.
    #[schema(value_type = Email)]
    email: String,
    /// Its password.
    #[schema(max_length = 256, format = Password)]
    password: String,
    /// The code that the authenticator shows, or one of the recovery codes.
    #[serde(default)]
    #[schema(max_length = 50, example = "287082")]
    code: Option<String>,
}

/// A session in which one of the staff is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedStaffSession<'a> {
    /// Opens the admin API to whoever sends it as a bearer token; shown only here.
    #[schema(example = "dba_nXW1aV8H8TxAx2YcLDVPoFZbH1HHS8jWVJ0Ty0lG2kM")]
    token: &'a str,
    /// When the session is over unless it is used.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Who is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub struct StaffSession<'a> {
    /// Who.
    staff: Staff,
    /// What they may do.
    #[schema(value_type = Vec<Scope>)]
    scopes: &'a Scopes,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "current_password": "nanoseconds of wire", "password": "a moth in the relay",
}))]
pub struct ChangeStaffPassword {
    /// The one that it has now.
    #[schema(max_length = 256, format = Password)]
    current_password: String,
    /// 8 to 256 characters; none of the passwords that are tried first.
    #[schema(min_length = 8, max_length = 256, format = Password)]
    password: String,
}

fn wrong() -> Problem {
    Problem::new(Code::Unauthorized, "The address, the password or the code is wrong.")
}

fn missing() -> Problem {
    let detail = "Send the code of the authenticator, or a recovery code, as `code`.";
    Problem::new(Code::Unauthorized, detail)
}

/// The hash of the bearer token that asks.
fn asking(request: &HttpRequest) -> Result<TokenHash, Problem> {
    bearer(request.headers()).map(hash).ok_or_else(unauthorized)
}

/// Log in as one of the staff.
///
/// A wrong password and an address without an account are the same. Whoever has turned an
/// authenticator on needs a code, too, which is good for once. An `Idempotency-Key` is ignored.
#[utoipa::path(
    post, path = "/v1/admin/session/login", tag = "admin", request_body = StaffLogIn,
    responses((status = 200, description = "The session's token",
        body = StartedStaffSession<'static>)),
)]
pub async fn create_staff_login(
    peer: Peer,
    body: Json<StaffLogIn>,
    logins: web::Data<Logins>,
    credentials: web::Data<Credentials>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let StaffLogIn { email, password, code } = body.value;
    let Some((login, guess)) = logins.open(&email, password, peer).await? else {
        tracing::info!(address = %peer.0, "a login of staff was refused");
        return Err(wrong());
    };
    let token = Token::fresh(STAFF_TOKEN);
    let mut client = postgres.writers.get().await?;
    let transaction = begin(&mut client).await?;
    if !store::lock_unchanged(&transaction, &login).await? {
        return Err(wrong());
    }
    if login.totp.is_some() {
        let code = code.ok_or_else(missing)?;
        if !use_code(&transaction, &login, &code).await? {
            guess.failed().await;
            tracing::info!(staff = %login.id, address = %peer.0, "a second factor was refused");
            return Err(wrong());
        }
    }
    guess.succeeded().await;
    let periods = credentials.periods();
    let expires_at = sessions::begin(&transaction, &token.hash(), login.id, periods).await?;
    commit(transaction).await?;
    tracing::info!(staff = %login.id, address = %peer.0, "logged in");
    let body = StartedStaffSession { token: token.expose(), expires_at };
    Ok(HttpResponse::Ok().json(body))
}

/// Seconds since 1970, by which authenticators make their codes.
pub(super) fn now() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0)
}

/// Whether the code is one of the second factor; it is used up in the transaction that it is good
/// for.
pub(super) async fn use_code(
    transaction: &Transaction<'_>,
    login: &Login,
    code: &str,
) -> Result<bool, Problem> {
    let Some((secret, last)) = &login.totp else { return Ok(false) };
    match totp::step_of(secret, code, now(), *last)? {
        Some(step) => store::use_step(transaction, login.id, step).await,
        None => store::use_recovery_code(transaction, login.id, &totp::recovery_hash(code)).await,
    }
}

/// Who am I, and what may I do.
#[utoipa::path(
    get, path = "/v1/admin/session", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, description = "Who", body = StaffSession<'static>)),
)]
pub async fn get_staff_session(
    admin: Admin,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let staff = store::find(&postgres.readers, admin.staff()?).await?.ok_or_else(unknown)?;
    Ok(HttpResponse::Ok().json(StaffSession { staff, scopes: &admin.scopes }))
}

/// Log out: the token is worth nothing any more, on every instance within a second.
#[utoipa::path(
    delete, path = "/v1/admin/session", tag = "admin", security(("admin_key" = [])),
    responses((status = 204, description = "Logged out")),
)]
pub async fn delete_staff_session(
    _: Admin,
    request: HttpRequest,
    credentials: web::Data<Credentials>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let token = asking(&request)?;
    sessions::end(&postgres.writers, &token).await?;
    credentials.forget(&[token]);
    Ok(HttpResponse::NoContent().finish())
}

/// Change my password; every other session of mine is over.
#[utoipa::path(
    post, path = "/v1/admin/session/password", tag = "admin",
    request_body = ChangeStaffPassword, security(("admin_key" = [])),
    responses((status = 204, description = "Changed")),
)]
pub async fn update_staff_password(
    admin: Admin,
    request: HttpRequest,
    body: Json<ChangeStaffPassword>,
    logins: web::Data<Logins>,
    credentials: web::Data<Credentials>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let ChangeStaffPassword { current_password, password } = body.value;
    let mut violations = Violations::default();
    check_password(&password, &mut violations);
    violations.finish()?;
    let pointer = "/current_password";
    let peer = Peer::of(&request);
    let (login, _) = logins.confirm(&admin, current_password, pointer, peer).await?;
    let new = logins.hash(password, &login.email).await?;
    let but = asking(&request)?;
    let ended = change_and_record(&postgres.writers, &admin, async |transaction| {
        if !store::lock_unchanged(transaction, &login).await? {
            let error = FieldError::new(pointer, "is not your password any more");
            return Err(Problem::validation(vec![error]));
        }
        store::set_password(transaction, login.id, &new).await?;
        let ended = sessions::end_all(transaction, login.id, Some(&but)).await?;
        Ok((ended, [Change::done(login.id)]))
    });
    credentials.forget(&ended.await?);
    Ok(HttpResponse::NoContent().finish())
}
