//! The SQL of staff.

pub mod keys;
pub mod roles;
pub mod sessions;

use super::role::OWNER;
use super::staff::Staff;
use crate::auth::TokenHash;
use crate::customer::email_key;
use crate::error::{Code, Problem};
use crate::id::StaffId;
use crate::page::Page;
use crate::postgres::reader;
use deadpool_postgres::{Pool, Transaction};
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// The columns that [`read`] reads.
const COLUMNS: &str =
    "id, email, name, role, password_hash IS NULL, is_totp_on, version, created_at";

fn read(row: &Row) -> Staff {
    Staff {
        id: row.get::<_, Uuid>(0).into(),
        email: row.get(1),
        name: row.get(2),
        role: row.get(3),
        invited: row.get(4),
        totp: row.get(5),
        version: row.get(6),
        created_at: row.get(7),
    }
}

/// Everybody, newest first.
pub async fn list(readers: &Pool, page: Page) -> Result<Vec<Staff>, Problem> {
    let sql = format!(
        "SELECT {COLUMNS} FROM staff WHERE ($1::uuid IS NULL OR id < $1)
         ORDER BY id DESC LIMIT $2"
    );
    let rows = reader(readers).await?.query(&sql, &[&page.after, &page.fetch()]).await?;
    Ok(rows.iter().map(read).collect())
}

/// One of them.
pub async fn find(readers: &Pool, id: StaffId) -> Result<Option<Staff>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM staff WHERE id = $1");
    Ok(reader(readers).await?.query_opt(&sql, &[&id.uuid()]).await?.map(|row| read(&row)))
}

/// One of them, locked.
pub async fn lock(transaction: &Transaction<'_>, id: StaffId) -> Result<Option<Staff>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM staff WHERE id = $1 FOR UPDATE");
    Ok(transaction.query_opt(&sql, &[&id.uuid()]).await?.map(|row| read(&row)))
}

/// Somebody who is to be invited.
pub struct Invited<'i> {
    /// What they will log in with.
    pub email: &'i str,
    /// How to address them.
    pub name: &'i str,
    /// What they may do.
    pub role: &'i str,
    /// SHA-256 of the token that lets them in.
    pub invitation: &'i TokenHash,
    /// For how long it does.
    pub lasts: Duration,
}

/// Adds somebody; `conflict` if the address is another one's.
pub async fn insert(
    transaction: &Transaction<'_>,
    invited: &Invited<'_>,
) -> Result<Staff, Problem> {
    let sql = format!(
        "INSERT INTO staff (id, email, email_key, name, role, invitation_hash, invited_until)
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) RETURNING {COLUMNS}"
    );
    let Invited { email, name, role, invitation, lasts } = invited;
    let (id, key, hash) = (StaffId::new().uuid(), email_key(email), &invitation[..]);
    let lasts = lasts.as_secs_f64();
    let row = transaction.query_one(&sql, &[&id, email, &key, name, role, &hash, &lasts]).await;
    match row {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            Err(Problem::new(Code::Conflict, "One of the staff has this e-mail address."))
        }
        row => Ok(read(&row?)),
    }
}

/// Replaces the invitation of somebody locked who has not accepted it.
pub async fn invite_again(
    transaction: &Transaction<'_>,
    id: StaffId,
    invitation: &TokenHash,
    lasts: Duration,
) -> Result<(), Problem> {
    let sql = "UPDATE staff
               SET invitation_hash = $2, invited_until = now() + make_interval(secs => $3)
               WHERE id = $1";
    transaction.execute(sql, &[&id.uuid(), &&invitation[..], &lasts.as_secs_f64()]).await?;
    Ok(())
}

/// The address of whoever holds an invitation that is still good.
pub async fn invited(readers: &Pool, invitation: &TokenHash) -> Result<Option<String>, Problem> {
    let sql = "SELECT email FROM staff WHERE invitation_hash = $1 AND invited_until > now()";
    let row = readers.get().await?.query_opt(sql, &[&&invitation[..]]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Takes the invitation, which is over then, for a password.
pub async fn accept(
    writers: &Pool,
    invitation: &TokenHash,
    password_hash: &str,
) -> Result<Option<Staff>, Problem> {
    let sql = format!(
        "UPDATE staff SET password_hash = $2, invitation_hash = NULL, invited_until = NULL,
             version = version + 1, updated_at = now()
         WHERE invitation_hash = $1 AND invited_until > now() RETURNING {COLUMNS}"
    );
    let row = writers.get().await?.query_opt(&sql, &[&&invitation[..], &password_hash]).await?;
    Ok(row.map(|row| read(&row)))
}

/// Saves name and role of somebody locked.
pub async fn update(transaction: &Transaction<'_>, staff: &Staff) -> Result<Staff, Problem> {
    let sql = format!(
        "UPDATE staff SET name = $2, role = $3, version = version + 1, updated_at = now()
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    let values = (staff.id.uuid(), &staff.name, &staff.role);
    let row = transaction.query_one(&sql, &[&values.0, values.1, values.2]).await?;
    Ok(read(&row))
}

/// Removes somebody locked, with their sessions.
pub async fn remove(transaction: &Transaction<'_>, id: StaffId) -> Result<(), Problem> {
    transaction.execute("DELETE FROM staff WHERE id = $1", &[&id.uuid()]).await?;
    Ok(())
}

/// Locks the owners who can log in, in the order of their ids. They come before anybody else of the
/// staff: of two who remove each other, the second one waits and is refused.
pub async fn lock_owners(transaction: &Transaction<'_>) -> Result<Vec<StaffId>, Problem> {
    let sql = "SELECT id FROM staff WHERE role = $1 AND password_hash IS NOT NULL
               ORDER BY id FOR UPDATE";
    let owners = transaction.query(sql, &[&OWNER]).await?;
    Ok(owners.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
}

/// What somebody logs in with.
pub struct Login {
    /// Who.
    pub id: StaffId,
    /// The address.
    pub email: String,
    /// The hash of the password.
    pub password_hash: String,
    /// The secret of the authenticator, if it is asked for, and the last step that was used.
    pub totp: Option<(Vec<u8>, i64)>,
}

/// The columns that [`read_login`] reads.
const LOGIN: &str = "id, email, password_hash, is_totp_on, totp_secret, totp_step";

fn read_login(row: &Row) -> Login {
    let secret: Option<Vec<u8>> = row.get(4);
    let totp = secret.filter(|_| row.get(3)).map(|secret| (secret, row.get(5)));
    Login { id: row.get::<_, Uuid>(0).into(), email: row.get(1), password_hash: row.get(2), totp }
}

/// What whoever has this address logs in with, if they have accepted their invitation.
pub async fn login_of(readers: &Pool, email: &str) -> Result<Option<Login>, Problem> {
    let sql =
        format!("SELECT {LOGIN} FROM staff WHERE email_key = $1 AND password_hash IS NOT NULL");
    let row = reader(readers).await?.query_opt(&sql, &[&email_key(email)]).await?;
    Ok(row.map(|row| read_login(&row)))
}

/// What one of the staff logs in with.
pub async fn own_login(readers: &Pool, id: StaffId) -> Result<Option<Login>, Problem> {
    let sql = format!("SELECT {LOGIN} FROM staff WHERE id = $1 AND password_hash IS NOT NULL");
    let row = reader(readers).await?.query_opt(&sql, &[&id.uuid()]).await?;
    Ok(row.map(|row| read_login(&row)))
}

/// The same, locked, if nothing of it has changed since; so what was proven still counts.
pub async fn lock_unchanged(
    transaction: &Transaction<'_>,
    login: &Login,
) -> Result<bool, Problem> {
    let sql = "SELECT FROM staff WHERE id = $1 AND password_hash = $2
                   AND is_totp_on = ($3::bytea IS NOT NULL)
                   AND ($3 IS NULL OR totp_secret = $3) FOR UPDATE";
    let secret = login.totp.as_ref().map(|(secret, _)| &secret[..]);
    let values = (login.id.uuid(), &login.password_hash);
    Ok(transaction.query_opt(sql, &[&values.0, values.1, &secret]).await?.is_some())
}

/// Uses a code of the authenticator up: no earlier one, nor this one, is good any more.
pub async fn use_step(
    transaction: &Transaction<'_>,
    id: StaffId,
    step: i64,
) -> Result<bool, Problem> {
    let sql = "UPDATE staff SET totp_step = $2 WHERE id = $1 AND totp_step < $2";
    Ok(transaction.execute(sql, &[&id.uuid(), &step]).await? == 1)
}

/// Uses a code on paper up.
pub async fn use_recovery_code(
    transaction: &Transaction<'_>,
    id: StaffId,
    code: &TokenHash,
) -> Result<bool, Problem> {
    let sql = "DELETE FROM staff_recovery_codes WHERE staff_id = $1 AND code_hash = $2";
    Ok(transaction.execute(sql, &[&id.uuid(), &&code[..]]).await? == 1)
}

/// Keeps a secret for an authenticator that has not shown a code yet.
pub async fn offer_totp(
    transaction: &Transaction<'_>,
    id: StaffId,
    secret: &[u8],
) -> Result<bool, Problem> {
    let sql = "UPDATE staff SET totp_secret = $2, totp_step = 0 WHERE id = $1 AND NOT is_totp_on";
    Ok(transaction.execute(sql, &[&id.uuid(), &secret]).await? == 1)
}

/// The secret of an authenticator that has not shown a code yet, its row locked.
pub async fn offered_totp(
    transaction: &Transaction<'_>,
    id: StaffId,
) -> Result<Option<Vec<u8>>, Problem> {
    let sql = "SELECT totp_secret FROM staff
               WHERE id = $1 AND totp_secret IS NOT NULL AND NOT is_totp_on FOR UPDATE";
    Ok(transaction.query_opt(sql, &[&id.uuid()]).await?.map(|row| row.get(0)))
}

/// Turns the second factor on, with the step of its first code and the codes on paper.
pub async fn turn_totp_on(
    transaction: &Transaction<'_>,
    id: StaffId,
    step: i64,
    codes: &[TokenHash],
) -> Result<Staff, Problem> {
    let sql = "INSERT INTO staff_recovery_codes (staff_id, code_hash)
               SELECT $1, unnest($2::bytea[])";
    let codes: Vec<&[u8]> = codes.iter().map(|code| &code[..]).collect();
    transaction.execute(sql, &[&id.uuid(), &codes]).await?;
    let sql = format!(
        "UPDATE staff SET is_totp_on = true, totp_step = $2, version = version + 1,
             updated_at = now()
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    Ok(read(&transaction.query_one(&sql, &[&id.uuid(), &step]).await?))
}

/// Turns the second factor off, and its codes on paper into paper.
pub async fn turn_totp_off(transaction: &Transaction<'_>, id: StaffId) -> Result<Staff, Problem> {
    let sql = "DELETE FROM staff_recovery_codes WHERE staff_id = $1";
    transaction.execute(sql, &[&id.uuid()]).await?;
    let sql = format!(
        "UPDATE staff SET is_totp_on = false, totp_secret = NULL, version = version + 1,
             updated_at = now()
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    Ok(read(&transaction.query_one(&sql, &[&id.uuid()]).await?))
}

/// Gives somebody locked another password.
pub async fn set_password(
    transaction: &Transaction<'_>,
    id: StaffId,
    password_hash: &str,
) -> Result<(), Problem> {
    let sql = "UPDATE staff SET password_hash = $2, version = version + 1, updated_at = now()
               WHERE id = $1";
    transaction.execute(sql, &[&id.uuid(), &password_hash]).await?;
    Ok(())
}
