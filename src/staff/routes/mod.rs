//! Staff over HTTP: inviting, changing and removing them.

pub mod audit;
pub mod factor;
pub mod keys;
pub mod roles;
pub mod session;

use super::credentials::Credentials;
use super::invitation::{Invitation, LASTS, NewStaff, invite, role_to_give};
use super::logins::Logins;
use super::role::check_name;
use super::staff::Staff;
use super::store;
use super::store::roles::lock_shared;
use super::store::sessions::end_all;
use crate::audit::{Change, change_and_record};
use crate::auth::{Admin, Secrets, hash};
use crate::contact::Email;
use crate::customer::{check_password, check_text};
use crate::error::{Code, FieldError, Problem, Violations};
use crate::id::StaffId;
use crate::json::{Json, JsonOrEmpty};
use crate::page::{List, PageQuery};
use crate::postgres::Postgres;
use crate::version::{IfMatch, etag};
use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use deadpool_postgres::Transaction;
use serde::Deserialize;
use utoipa::ToSchema;

/// Somebody to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "email": "grace@example.com", "name": "Grace Hopper", "role": "support",
}))]
pub struct InviteStaff {
    /// What they will log in with.
    #[schema(value_type = Email)]
    email: String,
    /// How to address them.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What they may do: the name of a role that does not reach beyond your own.
    #[schema(min_length = 2, max_length = 40, pattern = "^[a-z][a-z0-9-]{1,39}$")]
    role: String,
}

/// What to change of somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "manager"}))]
pub struct UpdateStaff {
    /// How to address them.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What they may do, on every instance within a second.
    #[serde(default)]
    #[schema(min_length = 2, max_length = 40, pattern = "^[a-z][a-z0-9-]{1,39}$")]
    role: Option<String>,
}

/// An invitation, and the password that it is taken for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "dbm_5f52…", "password": "nanoseconds of wire"}))]
pub struct AcceptInvitation {
    /// The token of the invitation.
    #[schema(min_length = 1, max_length = 200)]
    token: String,
    /// 8 to 256 characters; none of the passwords that are tried first.
    #[schema(min_length = 8, max_length = 256, format = Password)]
    password: String,
}

fn unknown() -> Problem {
    Problem::not_found("member of staff")
}

fn read(id: &str) -> Result<StaffId, Problem> {
    id.parse().map_err(|_| unknown())
}

fn shown(mut response: HttpResponseBuilder, staff: Staff) -> HttpResponse {
    response.insert_header(etag(staff.version));
    response.json(staff)
}

/// Locks somebody whose role does not reach beyond that of whoever asks.
async fn lock_within_reach(
    transaction: &Transaction<'_>,
    admin: &Admin,
    id: StaffId,
) -> Result<Staff, Problem> {
    let staff = store::lock(transaction, id).await?.ok_or_else(unknown)?;
    let role = lock_shared(transaction, &staff.role).await?;
    role.map_or(Ok(()), |role| admin.reaches(&role.scopes))?;
    Ok(staff)
}

/// Somebody must be able to let others in.
fn leave_an_owner(owners: &[StaffId], leaving: StaffId) -> Result<(), Problem> {
    if owners == [leaving] {
        let detail = "This is the last owner: make somebody else one first.";
        return Err(Problem::new(Code::InvalidTransition, detail));
    }
    Ok(())
}

/// Everybody who works here, newest first.
#[utoipa::path(
    get, path = "/v1/admin/staff", tag = "admin", params(PageQuery),
    security(("admin_key" = [])),
    responses((status = 200, description = "A page of staff", body = List<Staff>)),
)]
pub async fn list_staff(
    _: Admin,
    query: web::Query<PageQuery>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let page = query.page()?;
    let rows = store::list(&postgres.readers, page).await?;
    Ok(HttpResponse::Ok().json(page.list(rows, |staff| staff.id.uuid())))
}

/// Invite somebody.
///
/// A mail brings them the token with which they choose a password. An `Idempotency-Key` is ignored:
/// each invitation is a secret of its own.
#[utoipa::path(
    post, path = "/v1/admin/staff", tag = "admin", request_body = InviteStaff,
    security(("admin_key" = [])),
    responses((status = 201, description = "Who was invited", body = Staff,
        headers(("Location" = String), ("ETag" = String)))),
)]
pub async fn create_staff(
    admin: Admin,
    body: Json<InviteStaff>,
    secrets: web::Data<Secrets>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let InviteStaff { email, name, role } = body.value;
    let new = NewStaff { email, name, role };
    let staff = invite(&postgres, &admin, &Invitation::by_mail(&secrets), &new).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/v1/admin/staff/{}", staff.id)));
    Ok(shown(response, staff))
}

/// Invite somebody again: the token before is worth nothing any more.
#[utoipa::path(
    post, path = "/v1/admin/staff/{id}/invitation", tag = "admin",
    params(("id" = StaffId, Path)), request_body = Option<InviteAgain>,
    security(("admin_key" = [])),
    responses((status = 201, description = "Who was invited", body = Staff)),
)]
pub async fn create_invitation(
    admin: Admin,
    id: web::Path<String>,
    _: JsonOrEmpty<InviteAgain>,
    secrets: web::Data<Secrets>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = read(&id)?;
    let invitation = Invitation::by_mail(&secrets);
    let invited = change_and_record(&postgres.writers, &admin, async |transaction| {
        let staff = lock_within_reach(transaction, &admin, id).await?;
        if !staff.invited {
            let detail = "They have accepted their invitation.";
            return Err(Problem::new(Code::InvalidTransition, detail));
        }
        store::invite_again(transaction, id, &invitation.hash(), LASTS).await?;
        invitation.send(transaction, &staff).await?;
        Ok((staff, [Change::done(id)]))
    });
    Ok(HttpResponse::Created().json(invited.await?))
}

/// Nothing more is needed to invite somebody again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct InviteAgain {}

/// Accept an invitation: choose a password. Log in with it then.
#[utoipa::path(
    post, path = "/v1/admin/invitations/accept", tag = "admin", request_body = AcceptInvitation,
    responses((status = 200, description = "Who you are", body = Staff)),
)]
pub async fn accept_invitation(
    body: Json<AcceptInvitation>,
    logins: web::Data<Logins>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let AcceptInvitation { token, password } = body.value;
    let mut violations = Violations::default();
    check_password(&password, &mut violations);
    violations.finish()?;
    let over = || {
        let error = FieldError::new("/token", "is unknown, was used, or is too old");
        Problem::validation(vec![error])
    };
    let hash = hash(&token);
    let email = store::invited(&postgres.readers, &hash).await?.ok_or_else(over)?;
    let password_hash = logins.hash(password, &email).await?;
    let staff = store::accept(&postgres.writers, &hash, &password_hash).await?;
    Ok(HttpResponse::Ok().json(staff.ok_or_else(over)?))
}

/// One of the staff.
#[utoipa::path(
    get, path = "/v1/admin/staff/{id}", tag = "admin", params(("id" = StaffId, Path)),
    security(("admin_key" = [])),
    responses((status = 200, description = "Who", body = Staff, headers(("ETag" = String)))),
)]
pub async fn get_staff(
    _: Admin,
    id: web::Path<String>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let found = store::find(&postgres.readers, read(&id)?).await?;
    Ok(shown(HttpResponse::Ok(), found.ok_or_else(unknown)?))
}

/// Change name or role of somebody whose role does not reach beyond yours.
#[utoipa::path(
    patch, path = "/v1/admin/staff/{id}", tag = "admin", request_body = UpdateStaff,
    params(("id" = StaffId, Path), ("If-Match" = Option<String>, Header)),
    security(("admin_key" = [])),
    responses((status = 200, description = "Who", body = Staff, headers(("ETag" = String)))),
)]
pub async fn update_staff(
    admin: Admin,
    id: web::Path<String>,
    if_match: IfMatch,
    body: Json<UpdateStaff>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let UpdateStaff { name, role } = body.value;
    let mut violations = Violations::default();
    check_text(name.as_deref(), "/name", &mut violations);
    role.iter().for_each(|role| check_name(role, "/role", &mut violations));
    violations.finish()?;
    let id = read(&id)?;
    let updated = change_and_record(&postgres.writers, &admin, async |transaction| {
        let owners = match role {
            Some(_) => store::lock_owners(transaction).await?,
            None => Vec::new(),
        };
        let before = lock_within_reach(transaction, &admin, id).await?;
        if_match.check(before.version)?;
        let mut after = before.clone();
        if let Some(name) = name {
            after.name = name;
        }
        if let Some(role) = role.filter(|role| *role != before.role) {
            leave_an_owner(&owners, id)?;
            after.role = role_to_give(transaction, &admin, &role).await?.name;
        }
        if after == before {
            return Ok((before, None));
        }
        let after = store::update(transaction, &after).await?;
        let change = Change::changed(id, &before, &after)?;
        Ok((after, Some(change)))
    });
    Ok(shown(HttpResponse::Ok(), updated.await?))
}

/// Remove somebody whose role does not reach beyond yours; they are logged out everywhere.
#[utoipa::path(
    delete, path = "/v1/admin/staff/{id}", tag = "admin",
    params(("id" = StaffId, Path), ("If-Match" = Option<String>, Header)),
    security(("admin_key" = [])),
    responses((status = 204, description = "Removed")),
)]
pub async fn delete_staff(
    admin: Admin,
    id: web::Path<String>,
    if_match: IfMatch,
    credentials: web::Data<Credentials>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let id = read(&id)?;
    let ended = change_and_record(&postgres.writers, &admin, async |transaction| {
        let owners = store::lock_owners(transaction).await?;
        let staff = lock_within_reach(transaction, &admin, id).await?;
        if_match.check(staff.version)?;
        leave_an_owner(&owners, id)?;
        let ended = end_all(transaction, id, None).await?;
        store::remove(transaction, id).await?;
        Ok((ended, [Change::removed(id, &staff)?]))
    });
    credentials.forget(&ended.await?);
    Ok(HttpResponse::NoContent().finish())
}
