//! Inviting somebody to the staff.

use super::credentials::INVITATION;
use super::role::Role;
use super::staff::Staff;
use super::store::{self, Invited, roles::lock_shared};
use crate::audit::{Change, change_and_record};
use crate::auth::{Admin, Secrets, Token, TokenHash, hash};
use crate::customer::{check_email, check_text};
use crate::error::{FieldError, Problem, Violations};
use crate::id::MailId;
use crate::mail::store::NewMail;
use crate::mail::{self, Link, Template};
use crate::postgres::Postgres;
use deadpool_postgres::Transaction;
use serde_json::json;
use std::time::Duration;

/// How long an invitation may be accepted.
pub const LASTS: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Come and work here.
pub const INVITED: Template = Template {
    kind: "staff_invitation",
    subject: "You are invited to the staff",
    opening: &["Hello,", "you are invited to work for {shop}. Choose a password to log in with."],
    link: Some(Link { label: "Choose a password", path: "/accept-invitation" }),
    closing: &["The link works once, for three days."],
};

/// Somebody to invite.
pub struct NewStaff {
    /// What they will log in with.
    pub email: String,
    /// How to address them.
    pub name: String,
    /// What they may do.
    pub role: String,
}

/// What lets somebody choose a password, once.
pub struct Invitation {
    token: String,
    /// The mail that brings it, and from whose id it is derived.
    mail: Option<MailId>,
}

impl Invitation {
    /// One that only whoever reads their mail gets to see.
    pub fn by_mail(secrets: &Secrets) -> Self {
        let mail = MailId::new();
        Self { token: secrets.mail_token(mail), mail: Some(mail) }
    }

    /// One that is handed over by whoever makes it.
    pub fn by_hand() -> Self {
        Self { token: Token::fresh(INVITATION).expose().to_owned(), mail: None }
    }

    /// The token, for the one who hands it over.
    pub fn expose(&self) -> &str {
        &self.token
    }

    /// What is stored of it.
    pub fn hash(&self) -> TokenHash {
        hash(&self.token)
    }

    /// Sends it, if it is sent, in the transaction of what it is about.
    pub async fn send(
        &self,
        transaction: &Transaction<'_>,
        staff: &Staff,
    ) -> Result<(), Problem> {
        let Some(id) = self.mail else { return Ok(()) };
        let mail = NewMail {
            id,
            person: Some(staff.id.uuid()),
            kind: INVITED.kind,
            recipient: &staff.email,
            payload: json!({}),
        };
        mail::store::put(transaction, &mail).await
    }
}

/// Adds somebody who does not have a password yet.
pub async fn invite(
    postgres: &Postgres,
    admin: &Admin,
    invitation: &Invitation,
    NewStaff { email, name, role }: &NewStaff,
) -> Result<Staff, Problem> {
    let mut violations = Violations::default();
    check_email(email, &mut violations);
    check_text(Some(name), "/name", &mut violations);
    violations.finish()?;
    let hash = &invitation.hash();
    let invited = change_and_record(&postgres.writers, admin, async |transaction| {
        let role = role_to_give(transaction, admin, role).await?;
        let invited = Invited { email, name, role: &role.name, invitation: hash, lasts: LASTS };
        let staff = store::insert(transaction, &invited).await?;
        invitation.send(transaction, &staff).await?;
        let change = Change::made(staff.id, &staff)?;
        Ok((staff, [change]))
    });
    invited.await
}

/// The role of that name, kept as it is; it must not reach beyond whoever gives it.
pub async fn role_to_give(
    transaction: &Transaction<'_>,
    admin: &Admin,
    name: &str,
) -> Result<Role, Problem> {
    let unknown = || FieldError::new("/role", "there is no such role");
    let role = lock_shared(transaction, name).await?;
    let role = role.ok_or_else(|| Problem::validation(vec![unknown()]))?;
    admin.reaches(&role.scopes)?;
    Ok(role)
}
