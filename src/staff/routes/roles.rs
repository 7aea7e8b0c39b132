//! The roles of staff.

use crate::audit::{Change, change_and_record, record};
use crate::auth::{Admin, Scope, Scopes};
use crate::error::{Code, Problem, Violations};
use crate::idempotency::{Claim, Reply, once};
use crate::json::Json;
use crate::postgres::Postgres;
use crate::staff::role::{Role, built_in, check_name, find_built_in, is_name};
use crate::staff::store::roles as store;
use crate::version::{IfMatch, etag};
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A role to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "warehouse", "scopes": ["stock:read", "stock:write"]}))]
pub struct NewRole {
    /// 2 to 40 of `a`–`z`, `0`–`9` and `-`, the first one a letter.
    #[schema(min_length = 2, max_length = 40, pattern = "^[a-z][a-z0-9-]{1,39}$")]
    name: String,
    /// What it allows: nothing beyond your own scopes.
    #[schema(min_items = 1, max_items = 50)]
    scopes: Vec<Scope>,
}

/// What to change of a role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scopes": ["stock:read"]}))]
pub struct UpdateRole {
    /// What it allows, for whoever has it, on every instance within a second.
    #[schema(min_items = 1, max_items = 50)]
    scopes: Vec<Scope>,
}

/// All roles.
#[derive(Debug, Serialize, ToSchema)]
pub struct Roles {
    items: Vec<Role>,
    /// There is only one page: at most 100 roles of the shop's own.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<()>,
}

fn unknown() -> Problem {
    Problem::not_found("role")
}

/// The name in a path, if a role may be called so.
fn possible(name: &str) -> Result<&str, Problem> {
    is_name(name).then_some(name).ok_or_else(unknown)
}

fn shown(role: Role) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(role.version)).json(role)
}

fn check(scopes: Vec<Scope>, violations: &mut Violations) -> Scopes {
    violations.require(!scopes.is_empty(), "/scopes", "must name at least one");
    scopes.into_iter().collect()
}

/// One of the shop's own roles, locked, as far as it does not reach beyond whoever asks.
async fn lock(transaction: &Transaction<'_>, admin: &Admin, name: &str) -> Result<Role, Problem> {
    if find_built_in(name).is_some() {
        let detail = "This role is always there and cannot be changed.";
        return Err(Problem::new(Code::InvalidTransition, detail));
    }
    let role = store::lock(transaction, possible(name)?).await?.ok_or_else(unknown)?;
    admin.reaches(&role.scopes)?;
    Ok(role)
}

/// All roles: those that are always there, then the shop's own.
#[utoipa::path(
    get, path = "/v1/admin/roles", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, description = "The roles", body = Roles)),
)]
pub async fn list_roles(
    _: Admin,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let mut items = built_in();
    items.extend(store::list(&postgres.readers).await?);
    Ok(HttpResponse::Ok().json(Roles { items, next_cursor: None }))
}

/// Make a role; `conflict` if there is one of that name.
#[utoipa::path(
    post, path = "/v1/admin/roles", tag = "admin", request_body = NewRole,
    params(("Idempotency-Key" = Option<String>, Header)), security(("admin_key" = [])),
    responses((status = 201, description = "The role", body = Role,
        headers(("Location" = String)))),
)]
pub async fn create_role(
    admin: Admin,
    request: HttpRequest,
    body: Json<NewRole>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &admin.key_scope(), &body.hash)?;
    let NewRole { name, scopes } = body.value;
    let mut violations = Violations::default();
    check_name(&name, "/name", &mut violations);
    let scopes = check(scopes, &mut violations);
    violations.finish()?;
    admin.reaches(&scopes)?;
    if find_built_in(&name).is_some() {
        return Err(Problem::new(Code::Conflict, "There is a role of this name."));
    }
    let reply = once(&postgres.writers, claim.as_ref(), async |transaction| {
        let role = Role { name, scopes, built_in: false, version: 1, created_at: None };
        let role = store::insert(transaction, &role).await?;
        record(transaction, &admin, &Change::made(&role.name, &role)?).await?;
        let body = serde_json::to_vec(&role).map_err(Problem::internal)?;
        Ok(Reply::created(Some(format!("/v1/admin/roles/{}", role.name)), body))
    });
    Ok(reply.await?.into())
}

/// One role.
#[utoipa::path(
    get, path = "/v1/admin/roles/{name}", tag = "admin",
    params(("name" = String, Path, example = "support")), security(("admin_key" = [])),
    responses((status = 200, description = "The role", body = Role,
        headers(("ETag" = String)))),
)]
pub async fn get_role(
    _: Admin,
    name: web::Path<String>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let found = store::find(&postgres.readers, possible(&name)?).await?;
    Ok(shown(found.ok_or_else(unknown)?))
}

/// Change what one of the shop's own roles allows.
#[utoipa::path(
    patch, path = "/v1/admin/roles/{name}", tag = "admin", request_body = UpdateRole,
    params(("name" = String, Path, example = "warehouse"),
        ("If-Match" = Option<String>, Header)),
    security(("admin_key" = [])),
    responses((status = 200, description = "The role", body = Role,
        headers(("ETag" = String)))),
)]
pub async fn update_role(
    admin: Admin,
    name: web::Path<String>,
    if_match: IfMatch,
    body: Json<UpdateRole>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let mut violations = Violations::default();
    let scopes = check(body.value.scopes, &mut violations);
    violations.finish()?;
    admin.reaches(&scopes)?;
    let updated = change_and_record(&postgres.writers, &admin, async |transaction| {
        let before = lock(transaction, &admin, &name).await?;
        if_match.check(before.version)?;
        if before.scopes == scopes {
            return Ok((before, None));
        }
        let after = Role { scopes, ..before.clone() };
        let after = store::update(transaction, &after).await?;
        let change = Change::changed(&after.name, &before, &after)?;
        Ok((after, Some(change)))
    });
    Ok(shown(updated.await?))
}

/// Remove one of the shop's own roles; `conflict` if somebody has it.
#[utoipa::path(
    delete, path = "/v1/admin/roles/{name}", tag = "admin",
    params(("name" = String, Path, example = "warehouse"),
        ("If-Match" = Option<String>, Header)),
    security(("admin_key" = [])),
    responses((status = 204, description = "Removed")),
)]
pub async fn delete_role(
    admin: Admin,
    name: web::Path<String>,
    if_match: IfMatch,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let removed = change_and_record(&postgres.writers, &admin, async |transaction| {
        let role = lock(transaction, &admin, &name).await?;
        if_match.check(role.version)?;
        if !store::remove(transaction, &name).await? {
            return Err(Problem::new(Code::Conflict, "Somebody has this role."));
        }
        Ok(((), [Change::removed(&role.name, &role)?]))
    });
    removed.await?;
    Ok(HttpResponse::NoContent().finish())
}
