//! Logging in as one of the staff.

use super::unknown;
use crate::auth::{Admin, Scope, Scopes, Token, TokenHash, bearer, hash};
use crate::contact::Email;
use crate::customer::{Passwords, check_password, email_key};
use crate::error::{Code, Problem, Violations};
use crate::json::Json;
use crate::peer::Peer;
use crate::postgres::{Postgres, begin};
use crate::rate_limit::RateLimits;
use crate::staff::credentials::{Credentials, STAFF_TOKEN};
use crate::staff::staff::Staff;
use crate::staff::store::{self, Lock, sessions};
use crate::staff::{totp, unauthorized};
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use std::fmt;
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

impl fmt::Debug for StaffLogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaffLogIn")
    }
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

impl fmt::Debug for ChangeStaffPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeStaffPassword")
    }
}

fn wrong() -> Problem {
    Problem::new(Code::Unauthorized, "The address, the password or the code is wrong.")
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
    passwords: web::Data<Passwords>,
    credentials: web::Data<Credentials>,
    postgres: web::Data<Postgres>,
    limits: web::Data<RateLimits>,
) -> Result<HttpResponse, Problem> {
    let StaffLogIn { email, password, code } = body.value;
    let guess = limits.guess(&format!("staff:{}", email_key(&email)), peer).await?;
    let lock = store::lock_of(&postgres.readers, &email).await?;
    let hash = lock.as_ref().map(|lock| &*lock.password_hash);
    let is_right = passwords.verify(password, hash).await?;
    let Some(lock) = lock.filter(|_| is_right) else {
        guess.failed().await;
        tracing::info!(address = %peer.0, "a login of staff was refused");
        return Err(wrong());
    };
    let token = Token::fresh(STAFF_TOKEN);
    let mut client = postgres.writers.get().await?;
    let transaction = begin(&mut client).await?;
    if !store::still(&transaction, &lock).await? {
        return Err(wrong());
    }
    if let Err(problem) = prove(&transaction, &lock, code.as_deref()).await {
        guess.failed().await;
        tracing::info!(staff = %lock.id, address = %peer.0, "a second factor was refused");
        return Err(problem);
    }
    guess.succeeded().await;
    let periods = credentials.periods();
    let expires_at = sessions::begin(&transaction, &token.hash(), lock.id, periods).await?;
    transaction.commit().await?;
    tracing::info!(staff = %lock.id, address = %peer.0, "logged in");
    let body = StartedStaffSession { token: token.expose(), expires_at };
    Ok(HttpResponse::Ok().json(body))
}

/// Seconds since 1970, by which authenticators make their codes.
pub(super) fn now() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0)
}

/// Uses a code of the second factor up, if there is one, in the transaction that it is good for.
pub(super) async fn prove(
    transaction: &Transaction<'_>,
    lock: &Lock,
    code: Option<&str>,
) -> Result<(), Problem> {
    let Some((secret, last)) = &lock.totp else { return Ok(()) };
    let missing = || {
        let detail = "Send the code of the authenticator, or a recovery code, as `code`.";
        Problem::new(Code::Unauthorized, detail)
    };
    let code = code.ok_or_else(missing)?;
    let is_right = match totp::step_of(secret, code, now(), *last)? {
        Some(step) => store::use_step(transaction, lock.id, step).await?,
        None => {
            let code = totp::recovery_hash(code);
            store::use_recovery_code(transaction, lock.id, &code).await?
        }
    };
    if is_right { Ok(()) } else { Err(wrong()) }
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
    passwords: web::Data<Passwords>,
    credentials: web::Data<Credentials>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let ChangeStaffPassword { current_password, password } = body.value;
    let mut violations = Violations::default();
    check_password(&password, &mut violations);
    violations.finish()?;
    let lock = lock_behind(&admin, current_password, &passwords, &postgres).await?;
    let staff = store::find(&postgres.readers, lock.id).await?.ok_or_else(unknown)?;
    let new = passwords.hash(password, staff.email).await?;
    let mut client = postgres.writers.get().await?;
    let transaction = begin(&mut client).await?;
    if !store::still(&transaction, &lock).await? {
        return Err(wrong());
    }
    store::set_password(&transaction, lock.id, &new).await?;
    let but = asking(&request)?;
    let ended = sessions::end_all(&transaction, lock.id, Some(&but)).await?;
    let change = crate::audit::Change::done(lock.id);
    crate::audit::record(&transaction, &admin, &change).await?;
    transaction.commit().await?;
    credentials.forget(&ended);
    Ok(HttpResponse::NoContent().finish())
}

/// What whoever asks logs in with, if this is their password; `forbidden` if it is not, because
/// the session that asks is good.
pub(super) async fn lock_behind(
    admin: &Admin,
    password: String,
    passwords: &Passwords,
    postgres: &Postgres,
) -> Result<Lock, Problem> {
    let lock = store::own_lock(&postgres.readers, admin.staff()?).await?;
    let lock = lock.ok_or_else(unauthorized)?;
    if passwords.verify(password, Some(&lock.password_hash)).await? {
        return Ok(lock);
    }
    Err(Problem::new(Code::Forbidden, "The password is wrong."))
}
