//! The second factor of one of the staff.

use super::session::{now, use_code};
use crate::audit::{Change, change_and_record};
use crate::auth::Admin;
use crate::error::{Code, FieldError, Problem};
use crate::json::Json;
use crate::peer::Peer;
use crate::postgres::Postgres;
use crate::staff::logins::Logins;
use crate::staff::store;
use crate::staff::totp::{self, recovery_hash};
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whoever asks, once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "nanoseconds of wire"}))]
pub struct OfferTotp {
    /// The password of the account.
    #[schema(max_length = 256, format = Password)]
    password: String,
}

/// What an authenticator needs.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferedTotp {
    /// To be typed, in base 32; shown only here.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// To be shown to its camera.
    #[schema(
        example = "otpauth://totp/doorbuster:grace%40example.com?secret=GEZDGNBV&issuer=doorbuster"
    )]
    otpauth_url: String,
}

/// The first code that the authenticator shows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "287082"}))]
pub struct ConfirmTotp {
    /// Six digits.
    #[schema(min_length = 6, max_length = 6)]
    code: String,
}

/// What stands in for the authenticator.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryCodes {
    /// Each is good for once; shown only here.
    #[schema(example = json!(["0f3a-99c1-7be2-40d5-a1b6-5c07-e8d4-22f9"]))]
    recovery_codes: Vec<String>,
}

/// Whoever asks, with both factors.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "nanoseconds of wire", "code": "287082"}))]
pub struct RemoveTotp {
    /// The password of the account.
    #[schema(max_length = 256, format = Password)]
    password: String,
    /// The code that the authenticator shows, or one of the recovery codes.
    #[schema(max_length = 50)]
    code: String,
}

fn wrong_code() -> Problem {
    Problem::validation(vec![FieldError::new("/code", "is not the right code")])
}

fn is_on() -> Problem {
    Problem::new(Code::InvalidTransition, "The second factor is on; remove it first.")
}

/// Begin to set an authenticator up. Nothing changes until its first code is confirmed.
#[utoipa::path(
    post, path = "/v1/admin/session/totp", tag = "admin", request_body = OfferTotp,
    security(("admin_key" = [])),
    responses((status = 201, description = "What the authenticator needs", body = OfferedTotp)),
)]
pub async fn create_totp(
    admin: Admin,
    peer: Peer,
    body: Json<OfferTotp>,
    logins: web::Data<Logins>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let password = body.value.password;
    let (login, _) = logins.confirm(&admin, password, "/password", peer).await?;
    let secret = rand::random();
    let (typed, url) = totp::shown(secret, &login.email)?;
    let offered = change_and_record(&postgres.writers, &admin, async |transaction| {
        if !store::offer_totp(transaction, login.id, &secret).await? {
            return Err(is_on());
        }
        Ok(((), [Change::done(login.id)]))
    });
    offered.await?;
    Ok(HttpResponse::Created().json(OfferedTotp { secret: typed, otpauth_url: url }))
}

/// Turn the second factor on with the first code of the authenticator.
#[utoipa::path(
    post, path = "/v1/admin/session/totp/confirm", tag = "admin", request_body = ConfirmTotp,
    security(("admin_key" = [])),
    responses((status = 200, description = "Codes to be kept on paper", body = RecoveryCodes)),
)]
pub async fn confirm_totp(
    admin: Admin,
    body: Json<ConfirmTotp>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = admin.staff()?;
    let none = || Problem::new(Code::InvalidTransition, "No authenticator is being set up.");
    let codes = totp::recovery_codes(&rand::random());
    let hashes: Vec<_> = codes.iter().map(|code| recovery_hash(code)).collect();
    let confirmed = change_and_record(&postgres.writers, &admin, async |transaction| {
        let secret = store::offered_totp(transaction, id).await?.ok_or_else(none)?;
        let step = totp::step_of(&secret, &body.value.code, now(), 0)?.ok_or_else(wrong_code)?;
        store::turn_totp_on(transaction, id, step, &hashes).await?;
        Ok(((), [Change::done(id)]))
    });
    confirmed.await?;
    Ok(HttpResponse::Ok().json(RecoveryCodes { recovery_codes: codes }))
}

/// Turn the second factor off, and throw the recovery codes away.
#[utoipa::path(
    post, path = "/v1/admin/session/totp/remove", tag = "admin", request_body = RemoveTotp,
    security(("admin_key" = [])),
    responses((status = 204, description = "It is off")),
)]
pub async fn remove_totp(
    admin: Admin,
    peer: Peer,
    body: Json<RemoveTotp>,
    logins: web::Data<Logins>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let RemoveTotp { password, code } = body.value;
    let (login, guess) = logins.confirm(&admin, password, "/password", peer).await?;
    if login.totp.is_none() {
        return Err(Problem::new(Code::InvalidTransition, "The second factor is off."));
    }
    let removed = change_and_record(&postgres.writers, &admin, async |transaction| {
        if !store::lock_unchanged(transaction, &login).await?
            || !use_code(transaction, &login, &code).await?
        {
            return Ok((false, None));
        }
        store::turn_totp_off(transaction, login.id).await?;
        Ok((true, Some(Change::done(login.id))))
    });
    if !removed.await? {
        guess.failed().await;
        return Err(wrong_code());
    }
    Ok(HttpResponse::NoContent().finish())
}
