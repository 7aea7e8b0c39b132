//! The SQL of mails.

use crate::contact::Email;
use crate::error::Problem;
use crate::id::MailId;
use crate::postgres::reader;
use crate::retention::Sweep;
use deadpool_postgres::{Pool, Transaction};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is not kept for ever, whether it was sent or not.
pub const SWEEP: Sweep =
    Sweep { table: "mails", since: "created_at", only: "true", keep: |settings| settings.mails };

/// A mail that is to be sent.
#[derive(Debug, Clone)]
pub struct NewMail<'m> {
    /// The id; its token is derived from it.
    pub id: MailId,
    /// Whose mail it is. To nobody nothing is sent, which takes as long.
    pub person: Option<Uuid>,
    /// The template's kind.
    pub kind: &'static str,
    /// The address.
    pub recipient: &'m str,
    /// What is put into the text.
    pub payload: Value,
}

/// A mail whose turn it is.
pub struct Due {
    /// The id.
    pub id: MailId,
    /// The template's kind.
    pub kind: String,
    /// The address.
    pub recipient: String,
    /// What is put into the text.
    pub payload: Value,
    /// How often it was tried, with this time.
    pub attempts: i32,
}

/// Writes a mail down, in the transaction of what it is about.
pub async fn put(transaction: &Transaction<'_>, mail: &NewMail<'_>) -> Result<(), Problem> {
    let sql = "INSERT INTO mails (id, person_id, kind, recipient, payload)
               SELECT $1, $2::uuid, $3, $4, $5 WHERE $2 IS NOT NULL";
    let NewMail { id, person, kind, recipient, payload } = mail;
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&id.uuid(), person, kind, recipient, payload]).await?;
    Ok(())
}

/// Takes mails that are due. Until their next try nobody else takes them: half a minute, and after
/// each try twice as long.
pub async fn take(writers: &Pool, limit: i64) -> Result<Vec<Due>, Problem> {
    let sql = "WITH due AS MATERIALIZED (
                   SELECT id FROM mails WHERE next_try_at <= now()
                   ORDER BY next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED)
               UPDATE mails m SET attempts = m.attempts + 1,
                   next_try_at = now() + interval '30 seconds' * 2 ^ least(m.attempts, 20)
               FROM due WHERE m.id = due.id
               RETURNING m.id, m.kind, m.recipient, m.payload, m.attempts";
    let client = writers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&limit]).await?;
    let due = rows.iter().map(|row| Due {
        id: row.get::<_, Uuid>(0).into(),
        kind: row.get(1),
        recipient: row.get(2),
        payload: row.get(3),
        attempts: row.get(4),
    });
    Ok(due.collect())
}

/// The mail is not tried again: it was sent, or it is given up.
pub async fn close(writers: &Pool, id: MailId, is_sent: bool) -> Result<(), Problem> {
    let sql = "UPDATE mails SET next_try_at = NULL, sent_at = CASE WHEN $2 THEN now() END
               WHERE id = $1";
    let client = writers.get().await?;
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&id.uuid(), &is_sent]).await?;
    Ok(())
}

/// Whose mails these were is gone, and so are they.
pub async fn erase(transaction: &Transaction<'_>, person: Uuid) -> Result<(), Problem> {
    transaction.execute("DELETE FROM mails WHERE person_id = $1", &[&person]).await?;
    Ok(())
}

/// A mail as its recipient may look it up.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldMail, example = json!({
    "id": "mail_01h455vb4pex5vsknk084sn02q", "kind": "email_changes",
    "recipient": "ada@example.com", "payload": {"email": "ada@example.org"},
    "created_at": "2026-11-27T09:00:00Z", "sent_at": "2026-11-27T09:00:01Z",
}))]
pub struct Held {
    /// The id.
    pub id: MailId,
    /// What it is about.
    #[schema(example = "verify_email")]
    pub kind: String,
    /// Where it was sent to.
    #[schema(value_type = Email)]
    pub recipient: String,
    /// What was put into the text.
    #[schema(value_type = Object)]
    pub payload: Value,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was sent.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub sent_at: Option<OffsetDateTime>,
}

/// Everything that is held of somebody's mails.
pub async fn held(readers: &Pool, person: Uuid) -> Result<Vec<Held>, Problem> {
    let sql = "SELECT id, kind, recipient, payload, created_at, sent_at FROM mails
               WHERE person_id = $1 ORDER BY id";
    let client = reader(readers).await?;
    let rows = client.query(sql, &[&person]).await?;
    let held = rows.iter().map(|row| Held {
        id: row.get::<_, Uuid>(0).into(),
        kind: row.get(1),
        recipient: row.get(2),
        payload: row.get(3),
        created_at: row.get(4),
        sent_at: row.get(5),
    });
    Ok(held.collect())
}
