//! The SQL of a shop's own roles.

use crate::auth::{parse_scopes, scope_names};
use crate::error::{Code, Problem};
use crate::postgres::reader;
use crate::staff::role::{Role, find_built_in};
use deadpool_postgres::{Pool, Transaction};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

/// Roles of a shop, at most: a list of them has one page.
pub const ROLES_MAX: i64 = 100;

const COLUMNS: &str = "name, scopes, version, created_at";

fn read(row: &Row) -> Role {
    Role {
        name: row.get(0),
        scopes: parse_scopes(row.get::<_, Vec<&str>>(1)),
        built_in: false,
        version: row.get(2),
        created_at: Some(row.get(3)),
    }
}

/// The shop's own roles, by name.
pub async fn list(readers: &Pool) -> Result<Vec<Role>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM staff_roles ORDER BY name LIMIT {ROLES_MAX}");
    let rows = reader(readers).await?.query(&sql, &[]).await?;
    Ok(rows.iter().map(read).collect())
}

/// A role by its name, its own or one that is always there.
pub async fn find(readers: &Pool, name: &str) -> Result<Option<Role>, Problem> {
    if let Some(role) = find_built_in(name) {
        return Ok(Some(role));
    }
    let sql = format!("SELECT {COLUMNS} FROM staff_roles WHERE name = $1");
    Ok(reader(readers).await?.query_opt(&sql, &[&name]).await?.map(|row| read(&row)))
}

/// The same, kept as it is until the transaction ends.
pub async fn lock_shared(
    transaction: &Transaction<'_>,
    name: &str,
) -> Result<Option<Role>, Problem> {
    if let Some(role) = find_built_in(name) {
        return Ok(Some(role));
    }
    let sql = format!("SELECT {COLUMNS} FROM staff_roles WHERE name = $1 FOR SHARE");
    Ok(transaction.query_opt(&sql, &[&name]).await?.map(|row| read(&row)))
}

/// One of the shop's own roles, locked.
pub async fn lock(transaction: &Transaction<'_>, name: &str) -> Result<Option<Role>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM staff_roles WHERE name = $1 FOR UPDATE");
    Ok(transaction.query_opt(&sql, &[&name]).await?.map(|row| read(&row)))
}

/// Adds a role; `conflict` if there is one of that name, or too many.
pub async fn insert(transaction: &Transaction<'_>, role: &Role) -> Result<Role, Problem> {
    let sql = format!(
        "INSERT INTO staff_roles (name, scopes)
         SELECT $1, $2 WHERE (SELECT count(*) FROM staff_roles) < {ROLES_MAX}
         RETURNING {COLUMNS}"
    );
    let made = transaction.query_opt(&sql, &[&role.name, &scope_names(&role.scopes)]).await;
    match made {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            Err(Problem::new(Code::Conflict, "There is a role of this name."))
        }
        made => made?
            .map(|row| read(&row))
            .ok_or_else(|| Problem::new(Code::Conflict, "There are 100 roles already.")),
    }
}

/// Saves the scopes of a locked role.
pub async fn update(transaction: &Transaction<'_>, role: &Role) -> Result<Role, Problem> {
    let sql = format!(
        "UPDATE staff_roles SET scopes = $2, version = version + 1, updated_at = now()
         WHERE name = $1 RETURNING {COLUMNS}"
    );
    let row = transaction.query_one(&sql, &[&role.name, &scope_names(&role.scopes)]).await?;
    Ok(read(&row))
}

/// Removes a locked role, unless somebody has it.
pub async fn remove(transaction: &Transaction<'_>, name: &str) -> Result<bool, Problem> {
    let sql = "DELETE FROM staff_roles
               WHERE name = $1 AND NOT EXISTS (SELECT FROM staff WHERE role = $1)";
    Ok(transaction.execute(sql, &[&name]).await? == 1)
}
