//! The audit log: every change that staff and keys make, in the transaction that makes it.
//!
//! Who, what, before, after, when, from where, in which request. Entries are only ever added; a
//! trigger refuses everything else.

use crate::auth::Admin;
use crate::error::Problem;
use crate::export::{Cell, PAGE_ROWS, Page};
use crate::id::AuditId;
use crate::postgres::{begin, commit, reader};
use crate::query::Period;
use deadpool_postgres::{GenericClient, Pool, Transaction};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::error::ComponentRange;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a change did to one thing.
#[derive(Debug)]
pub struct Change {
    target: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Change {
    /// Something was made.
    pub fn made(target: impl ToString, after: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { target: target.to_string(), before: None, after: Some(shown(after)?) })
    }

    /// Something is not what it was.
    pub fn changed<T: Serialize>(
        target: impl ToString,
        before: &T,
        after: &T,
    ) -> Result<Self, Problem> {
        let (before, after) = (Some(shown(before)?), Some(shown(after)?));
        Ok(Self { target: target.to_string(), before, after })
    }

    /// Something is gone.
    pub fn removed(target: impl ToString, before: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { target: target.to_string(), before: Some(shown(before)?), after: None })
    }

    /// Something happened that leaves nothing to see: a secret was replaced.
    pub fn done(target: impl ToString) -> Self {
        Self { target: target.to_string(), before: None, after: None }
    }
}

fn shown(value: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(Problem::internal)
}

/// Makes a change in a transaction of its own, with its entries.
pub async fn change_and_record<T, C: IntoIterator<Item = Change>>(
    writers: &Pool,
    admin: &Admin,
    make: impl AsyncFnOnce(&Transaction<'_>) -> Result<(T, C), Problem>,
) -> Result<T, Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let (made, changes) = make(&transaction).await?;
    for change in changes {
        record(&transaction, admin, &change).await?;
    }
    commit(transaction).await?;
    Ok(made)
}

/// Adds an entry to the transaction that makes the change.
pub async fn record(
    transaction: &Transaction<'_>,
    admin: &Admin,
    change: &Change,
) -> Result<(), Error> {
    let sql = "INSERT INTO audit_log
                   (id, actor, action, target, before, after, address, request_id)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (id, actor) = (AuditId::new().uuid(), admin.principal.to_string());
    let address = admin.address.map(|address| address.to_string());
    let Change { target, before, after } = change;
    let statement = transaction.prepare_cached(sql).await?;
    let values: [&(dyn ToSql + Sync); 8] =
        [&id, &actor, &admin.operation, target, before, after, &address, &admin.request_id];
    transaction.execute(&statement, &values).await.map(drop)
}

/// An entry of the log.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AuditEntry, example = json!({
    "id": "aud_01h455vb4pex5vsknk084sn02q", "at": "2026-11-27T09:00:00Z",
    "actor": "staff_01h455vb4pex5vsknk084sn02q", "action": "update_product",
    "target": "prod_01h455vb4pex5vsknk084sn02q", "before": {"title": "Mug"},
    "after": {"title": "Tall mug"}, "address": "203.0.113.7",
    "request_id": "0193b8a2c5f97d3e8a1b4c6d7e8f9012",
}))]
pub struct Entry {
    /// The id.
    pub id: AuditId,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who: one of the staff, an API key, `configured_key` or `command_line`.
    #[schema(example = "staff_01h455vb4pex5vsknk084sn02q")]
    pub actor: String,
    /// The id of the operation.
    #[schema(example = "update_product")]
    pub action: String,
    /// What was changed.
    #[schema(example = "prod_01h455vb4pex5vsknk084sn02q")]
    pub target: String,
    /// What it was; nothing if it is new.
    #[schema(required)]
    pub before: Option<Value>,
    /// What it is; nothing if it is gone.
    #[schema(required)]
    pub after: Option<Value>,
    /// From which address.
    #[schema(required, example = "203.0.113.7")]
    pub address: Option<String>,
    /// In which request.
    #[schema(example = "0193b8a2c5f97d3e8a1b4c6d7e8f9012")]
    pub request_id: String,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// By whom.
    pub actor: Option<String>,
    /// Which operation.
    pub action: Option<String>,
    /// What was changed.
    pub target: Option<String>,
    /// When.
    pub at: Period,
}

/// Where a page ends: entries are listed newest first.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "(u64, Uuid)")]
pub struct Position(OffsetDateTime, Uuid);

impl From<&Entry> for Position {
    fn from(entry: &Entry) -> Self {
        Self(entry.at, entry.id.uuid())
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0.unix_timestamp_nanos() / 1_000, self.1).serialize(serializer)
    }
}

impl TryFrom<(u64, Uuid)> for Position {
    type Error = ComponentRange;

    /// Microseconds since 1970, when there were no entries.
    fn try_from((micros, id): (u64, Uuid)) -> Result<Self, ComponentRange> {
        let nanos = i128::from(micros) * 1_000;
        Ok(Self(OffsetDateTime::from_unix_timestamp_nanos(nanos)?, id))
    }
}

/// The entries that match, newest first, from behind a position.
pub async fn list(
    readers: &Pool,
    filter: &Filter,
    before: Option<Position>,
    limit: i64,
) -> Result<Vec<Entry>, Problem> {
    let sql = "SELECT id, at, actor, action, target, before, after, address, request_id
               FROM audit_log
               WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2)
                   AND ($3::text IS NULL OR target = $3)
                   AND ($4::timestamptz IS NULL OR at >= $4)
                   AND ($5::timestamptz IS NULL OR at < $5)
                   AND ($6::timestamptz IS NULL OR (at, id) < ($6, $7::uuid))
               ORDER BY at DESC, id DESC LIMIT $8";
    let Filter { actor, action, target, at } = filter;
    let (last_at, last_id) = before.map(|Position(at, id)| (at, id)).unzip();
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let values: [&(dyn ToSql + Sync); 8] =
        [actor, action, target, &at.from, &at.to, &last_at, &last_id, &limit];
    let rows = client.query(&statement, &values).await?;
    Ok(rows.iter().map(entry).collect())
}

/// The columns of [`export`].
#[rustfmt::skip]
pub const EXPORT: &[&str] = &[
    "id", "at", "actor", "action", "target", "before", "after", "address", "request_id",
];

/// The entries of a period, newest first, page by page.
pub async fn export(
    readers: Pool,
    at: Period,
    before: Option<Position>,
) -> Result<Page<Position>, Problem> {
    let filter = Filter { at, ..Filter::default() };
    let entries = list(&readers, &filter, before, PAGE_ROWS).await?;
    let cells = |entry: &Entry| {
        let Entry { id, at, actor, action, target, before, after, address, request_id } = entry;
        let mut cells = vec![Cell::text(id), Cell::time(*at), Cell::text(actor)];
        cells.extend([Cell::text(action), Cell::text(target)]);
        cells.extend([before, after].map(|json| json.as_ref().map_or(Cell::None, Cell::text)));
        cells.extend([Cell::from(address.as_deref()), Cell::text(request_id)]);
        Some(cells)
    };
    Ok(Page::of(&entries, |entry| Position::from(entry), cells))
}

fn entry(row: &Row) -> Entry {
    Entry {
        id: row.get::<_, Uuid>(0).into(),
        at: row.get(1),
        actor: row.get(2),
        action: row.get(3),
        target: row.get(4),
        before: row.get(5),
        after: row.get(6),
        address: row.get(7),
        request_id: row.get(8),
    }
}
