//! The SQL of tokens: what proves that somebody reads the mail of an address. A token is used once.

use super::super::customer::email_key;
use super::super::mails::{EMAIL_CHANGES, PASSWORD_CHANGED, RESET_PASSWORD, VERIFY_EMAIL};
use super::taken;
use crate::auth::{Secrets, TokenHash, hash};
use crate::contact::Email;
use crate::error::{FieldError, Problem};
use crate::id::{CustomerId, MailId, SessionId};
use crate::mail::{self, NewMail, Template};
use crate::postgres::{begin, commit, reader};
use crate::session::{self, Which};
use deadpool_postgres::{Pool, Transaction};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_postgres::error::SqlState;
use utoipa::ToSchema;
use uuid::Uuid;

/// Tokens of one kind that are sent for a customer in an hour, at most.
const HOURLY_MAX: i64 = 5;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The address is the customer's, or becomes it.
    VerifyEmail,
    /// A new password.
    ResetPassword,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }

    fn valid(self) -> Duration {
        match self {
            Self::VerifyEmail => Duration::from_secs(3 * 24 * 60 * 60),
            Self::ResetPassword => Duration::from_secs(60 * 60),
        }
    }

    fn template(self) -> Template {
        match self {
            Self::VerifyEmail => VERIFY_EMAIL,
            Self::ResetPassword => RESET_PASSWORD,
        }
    }
}

/// The token is unknown, used, or over.
pub fn invalid() -> Problem {
    Problem::validation(vec![FieldError::new("/token", "is not valid, or not any more")])
}

/// Sends a token to the address, unless there were too many lately; to nobody, if there is no
/// customer, which takes as long. Tells whether it is sent.
pub async fn send(
    transaction: &Transaction<'_>,
    secrets: &Secrets,
    customer: Option<CustomerId>,
    purpose: Purpose,
    email: &str,
) -> Result<bool, Problem> {
    let sql = "INSERT INTO customer_tokens (token_hash, customer_id, purpose, email, expires_at)
               SELECT $1, $2::uuid, $3::text, CASE WHEN $2 IS NULL THEN '' ELSE $4::text END,
                   CASE WHEN $2 IS NULL THEN now() ELSE now() + make_interval(secs => $5) END
               WHERE $6 > (SELECT count(*) FROM customer_tokens
                           WHERE customer_id = $2 AND purpose = $3
                               AND created_at > now() - interval '1 hour')
               RETURNING customer_id";
    let (id, customer) = (MailId::new(), customer.map(CustomerId::uuid));
    let (hash, purpose_name) = (hash(&secrets.mail_token(id)), purpose.as_str());
    let valid = purpose.valid().as_secs_f64();
    let statement = transaction.prepare_cached(sql).await?;
    let row = transaction
        .query_opt(
            &statement,
            &[&&hash[..], &customer, &purpose_name, &email, &valid, &HOURLY_MAX],
        )
        .await?;
    let person = row.and_then(|row| row.get::<_, Option<Uuid>>(0));
    let kind = purpose.template().kind;
    let mail = NewMail { id, person, kind, recipient: email, payload: json!({}) };
    mail::store::put(transaction, &mail).await?;
    Ok(person.is_some())
}

/// Tells the customer something, without a token.
async fn notify(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    template: Template,
    recipient: &str,
    payload: Value,
) -> Result<(), Problem> {
    let (id, person) = (MailId::new(), Some(customer.uuid()));
    let mail = NewMail { id, person, kind: template.kind, recipient, payload };
    mail::store::put(transaction, &mail).await
}

/// Sends the customer the mail that asks for the address again, unless it is verified.
pub async fn ask_again(
    writers: &Pool,
    secrets: &Secrets,
    customer: CustomerId,
) -> Result<(), Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let Account { email, is_verified, .. } = lock(&transaction, customer).await?;
    if !is_verified {
        send(&transaction, secrets, Some(customer), Purpose::VerifyEmail, &email).await?;
    }
    commit(transaction).await
}

/// Sends a token for a new password to the address, if it has an account.
pub async fn ask_for_password(
    writers: &Pool,
    secrets: &Secrets,
    email: &str,
) -> Result<(), Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let sql = "SELECT id, email FROM customers WHERE email_key = $1 FOR KEY SHARE";
    let statement = transaction.prepare_cached(sql).await?;
    let row = transaction.query_opt(&statement, &[&email_key(email)]).await?;
    let customer = row.as_ref().map(|row| row.get::<_, Uuid>(0).into());
    // As it is in the account: the one that was sent may only look like it.
    let email = row.as_ref().map_or(email, |row| row.get(1));
    send(&transaction, secrets, customer, Purpose::ResetPassword, email).await?;
    commit(transaction).await
}

/// Sends a token to the address that the customer wants to have, and a notice to the one so far.
/// Whether the new one has an account already is for those to learn who read its mail. `None` if
/// the password is not the one any more that was proven.
pub async fn ask_for_email(
    writers: &Pool,
    secrets: &Secrets,
    customer: CustomerId,
    proven: &str,
    email: &str,
) -> Result<Option<()>, Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let Some(account) = lock_unchanged(&transaction, customer, proven).await? else {
        return Ok(None);
    };
    forget_changes(&transaction, customer).await?;
    if send(&transaction, secrets, Some(customer), Purpose::VerifyEmail, email).await? {
        let payload = json!({"email": email});
        notify(&transaction, customer, EMAIL_CHANGES, &account.email, payload).await?;
    }
    commit(transaction).await?;
    Ok(Some(()))
}

/// Whose the token is and the address that it was sent to.
pub async fn find(
    readers: &Pool,
    token: &TokenHash,
    purpose: Purpose,
) -> Result<Option<(CustomerId, String)>, Problem> {
    let sql = "SELECT customer_id, email FROM customer_tokens
               WHERE token_hash = $1 AND purpose = $2 AND customer_id IS NOT NULL
                   AND expires_at > now()";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let row = client.query_opt(&statement, &[&&token[..], &purpose.as_str()]).await?;
    Ok(row.map(|row| (row.get::<_, Uuid>(0).into(), row.get(1))))
}

/// The address that the token was sent to is the customer's.
pub async fn verify_email(writers: &Pool, token: &TokenHash) -> Result<(), Problem> {
    let (customer, _) = find(writers, token, Purpose::VerifyEmail).await?.ok_or_else(invalid)?;
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let account = lock(&transaction, customer).await?;
    let email = take(&transaction, token).await?;
    let sql = "UPDATE customers SET email = $2, email_key = $3, version = version + 1,
                   email_verified_at = now(), updated_at = now() WHERE id = $1";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&customer.uuid(), &email, &email_key(&email)];
    match transaction.execute(sql, &params).await {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => return Err(taken()),
        changed => changed?,
    };
    if email != account.email {
        // Now that it is another one, so are tokens that were sent to the one before.
        forget_changes(&transaction, customer).await?;
        forget_resets(&transaction, customer).await?;
    }
    commit(transaction).await
}

/// Sets another password with a token. Who knew the old one is out: all sessions end, and tokens
/// that were asked for in them are worth nothing. Tells the tokens of those sessions.
pub async fn reset_password(
    writers: &Pool,
    token: &TokenHash,
    customer: CustomerId,
    password_hash: &str,
) -> Result<Vec<TokenHash>, Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let Account { email, .. } = lock(&transaction, customer).await?;
    if take(&transaction, token).await? != email {
        return Err(invalid());
    }
    // Whoever got the token reads the address's mail.
    let sql = "UPDATE customers SET password_hash = $2, updated_at = now(),
                   version = version + (email_verified_at IS NULL)::int,
                   email_verified_at = coalesce(email_verified_at, now()) WHERE id = $1";
    transaction.execute(sql, &[&customer.uuid(), &password_hash]).await?;
    let ended = shut_out(&transaction, customer, &email, Which::All).await?;
    commit(transaction).await?;
    Ok(ended)
}

/// Sets another password in place of the one with the hash `former`, and ends all sessions but the
/// one that asks. `None` if the password was changed meanwhile.
pub async fn change_password(
    writers: &Pool,
    customer: CustomerId,
    session: SessionId,
    former: &str,
    password_hash: &str,
) -> Result<Option<Vec<TokenHash>>, Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let Some(Account { email, .. }) = lock_unchanged(&transaction, customer, former).await?
    else {
        return Ok(None);
    };
    let sql = "UPDATE customers SET password_hash = $2, updated_at = now() WHERE id = $1";
    transaction.execute(sql, &[&customer.uuid(), &password_hash]).await?;
    let ended = shut_out(&transaction, customer, &email, Which::AllBut(session)).await?;
    commit(transaction).await?;
    Ok(Some(ended))
}

/// Whoever knew the password before is out: what was asked for with it is worth nothing, and these
/// sessions end. Tells their tokens.
async fn shut_out(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    email: &str,
    sessions: Which,
) -> Result<Vec<TokenHash>, Problem> {
    forget_changes(transaction, customer).await?;
    forget_resets(transaction, customer).await?;
    notify(transaction, customer, PASSWORD_CHANGED, email, json!({})).await?;
    session::log_out(&**transaction, customer, sessions).await
}

/// What is needed of an account to change how it is opened.
struct Account {
    email: String,
    is_verified: bool,
    password_hash: String,
}

/// Locks the customer: before the tokens, whatever is done with them.
async fn lock(transaction: &Transaction<'_>, customer: CustomerId) -> Result<Account, Problem> {
    let sql = "SELECT email, email_verified_at IS NOT NULL, password_hash FROM customers
               WHERE id = $1 FOR UPDATE";
    let row = transaction.query_opt(sql, &[&customer.uuid()]).await?;
    let row = row.ok_or_else(session::unauthorized)?;
    Ok(Account { email: row.get(0), is_verified: row.get(1), password_hash: row.get(2) })
}

/// The same, if the password is still the one that was proven.
async fn lock_unchanged(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    proven: &str,
) -> Result<Option<Account>, Problem> {
    let account = lock(transaction, customer).await?;
    Ok(Some(account).filter(|account| account.password_hash == proven))
}

/// Uses the token; tells the address that it was sent to.
async fn take(transaction: &Transaction<'_>, token: &TokenHash) -> Result<String, Problem> {
    let sql = "DELETE FROM customer_tokens
               WHERE token_hash = $1 AND expires_at > clock_timestamp() RETURNING email";
    let row = transaction.query_opt(sql, &[&&token[..]]).await?;
    Ok(row.ok_or_else(invalid)?.get(0))
}

/// Changes of the address that wait for their token do not come any more.
async fn forget_changes(
    transaction: &Transaction<'_>,
    customer: CustomerId,
) -> Result<(), Problem> {
    // Not removed: they count for the hour.
    let sql = "UPDATE customer_tokens t SET expires_at = now() FROM customers c
               WHERE t.customer_id = $1 AND c.id = $1 AND t.purpose = 'verify_email'
                   AND t.email <> c.email AND t.expires_at > now()";
    transaction.execute(sql, &[&customer.uuid()]).await?;
    Ok(())
}

async fn forget_resets(
    transaction: &Transaction<'_>,
    customer: CustomerId,
) -> Result<(), Problem> {
    let sql = "UPDATE customer_tokens SET expires_at = now()
               WHERE customer_id = $1 AND purpose = 'reset_password' AND expires_at > now()";
    transaction.execute(sql, &[&customer.uuid()]).await?;
    Ok(())
}

/// A token as its owner may look it up: what proves that they read the mail of an address. Of
/// itself only a hash is held.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldToken)]
pub struct Held {
    /// What it is for.
    #[schema(example = "verify_email")]
    pub purpose: String,
    /// Where it was sent to.
    #[schema(value_type = Email)]
    pub email: String,
    /// When it was sent.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it is worth nothing any more.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Everything that is held of a customer's tokens.
pub async fn held(readers: &Pool, customer: CustomerId) -> Result<Vec<Held>, Problem> {
    let sql = "SELECT purpose, email, created_at, expires_at FROM customer_tokens
               WHERE customer_id = $1 ORDER BY created_at, token_hash";
    let client = reader(readers).await?;
    let rows = client.query(sql, &[&customer.uuid()]).await?;
    let held = rows.iter().map(|row| Held {
        purpose: row.get(0),
        email: row.get(1),
        created_at: row.get(2),
        expires_at: row.get(3),
    });
    Ok(held.collect())
}
