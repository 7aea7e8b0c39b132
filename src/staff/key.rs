//! An API key, and what is acceptable in one.

use super::role::check_name;
use crate::auth::{Scope, Scopes};
use crate::contact::TEXT_MAX;
use crate::error::Violations;
use crate::id::ApiKeyId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Origins of one publishable key, at most.
const ORIGINS_MAX: usize = 50;
/// Characters of an origin, at most.
const ORIGIN_CHARS_MAX: usize = 253 + 20;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A program's that works for the shop; nobody else sees it.
    #[default]
    Secret,
    /// A storefront's; everybody can read it there.
    Publishable,
}

impl Kind {
    /// As PostgreSQL stores it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Publishable => "publishable",
        }
    }
}

/// A key, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct Key {
    /// The id; it opens nothing.
    pub id: ApiKeyId,
    /// What it is for.
    pub kind: Kind,
    /// What people call it.
    #[schema(example = "Warehouse")]
    pub name: String,
    /// How it begins.
    #[schema(example = "sk_fT9x2Ab")]
    pub prefix: String,
    /// What a secret key may do.
    #[schema(value_type = Vec<Scope>)]
    pub scopes: Scopes,
    /// The sales channel that a publishable key names; nothing differs by channel yet.
    #[schema(required, example = json!(null))]
    pub channel: Option<String>,
    /// The pages that may send a publishable key; any, if there are none.
    #[schema(example = json!(["https://shop.example"]))]
    pub origins: Vec<String>,
    /// When it is over.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub expires_at: Option<OffsetDateTime>,
    /// When it was taken back.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub revoked_at: Option<OffsetDateTime>,
    /// When it was last shown, to the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub last_used_at: Option<OffsetDateTime>,
    /// Grows by one with every change; also the `ETag`.
    pub version: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

impl Key {
    /// Notes what is wrong with it, as it would be after a request.
    pub fn check(&self, violations: &mut Violations) {
        let is_named = !self.name.trim().is_empty() && self.name.chars().count() <= TEXT_MAX;
        violations.require(is_named, "/name", "must have 1 to 200 characters");
        match self.kind {
            Kind::Secret => {
                violations.require(!self.scopes.is_empty(), "/scopes", "must name at least one");
                let is_plain = self.channel.is_none() && self.origins.is_empty();
                let detail = "only a publishable key has a channel and origins";
                violations.require(is_plain, "/kind", detail);
            }
            Kind::Publishable => {
                let detail = "everybody can read a publishable key: it has no scopes";
                violations.require(self.scopes.is_empty(), "/scopes", detail);
                check_name(self.channel.as_deref().unwrap_or(""), "/channel", violations);
                self.check_origins(violations);
            }
        }
    }

    fn check_origins(&self, violations: &mut Violations) {
        let is_few = self.origins.len() <= ORIGINS_MAX;
        violations.require(is_few, "/origins", "must be 50 at most");
        for (index, origin) in self.origins.iter().enumerate() {
            let detail = "must be an origin such as https://shop.example";
            violations.require(is_origin(origin), format!("/origins/{index}"), detail);
        }
    }
}

/// Whether browsers may send this as `Origin` (RFC 6454): scheme and host, nothing behind.
fn is_origin(text: &str) -> bool {
    let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let is_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:[]".contains(c);
    text.len() <= ORIGIN_CHARS_MAX
        && host.is_some_and(|host| !host.is_empty() && host.chars().all(is_host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host_and_nothing_else() {
        for fine in ["https://shop.example", "http://localhost:3000", "http://[::1]:8080"] {
            assert!(is_origin(fine), "{fine}");
        }
        for wrong in ["", "*", "shop.example", "https://", "https://shop.example/", "null"] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_secret_key_needs_scopes_and_a_publishable_one_must_not_have_any() {
        let key = |kind, scopes: &[Scope], channel: Option<&str>| Key {
            id: ApiKeyId::new(),
            kind,
            name: "Warehouse".to_owned(),
            prefix: String::new(),
            scopes: scopes.iter().copied().collect(),
            channel: channel.map(str::to_owned),
            origins: Vec::new(),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            version: 1,
            created_at: OffsetDateTime::UNIX_EPOCH,
        };
        let is_fine = |key: Key| {
            let mut violations = Violations::default();
            key.check(&mut violations);
            violations.finish().is_ok()
        };
        assert!(is_fine(key(Kind::Secret, &[Scope::StockRead], None)));
        assert!(!is_fine(key(Kind::Secret, &[], None)));
        assert!(!is_fine(key(Kind::Secret, &[Scope::StockRead], Some("web"))));
        assert!(is_fine(key(Kind::Publishable, &[], Some("web"))));
        assert!(!is_fine(key(Kind::Publishable, &[Scope::StockRead], Some("web"))));
        assert!(!is_fine(key(Kind::Publishable, &[], None)));
    }
}
