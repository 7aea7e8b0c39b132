//! What a credential of the admin API may do, in named parts.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

macro_rules! scopes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:tt;)+) => {
        /// One part of the admin API, to be read or to be written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[derive(Serialize, Deserialize, ToSchema)]
        pub enum Scope { $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+ }

        impl Scope {
            /// All scopes.
            pub const ALL: &'static [Scope] = &[$(Scope::$name,)+];

            /// As it stands in bodies: `catalog:write`.
            pub fn as_str(self) -> &'static str {
                match self { $(Scope::$name => $text,)+ }
            }
        }
    };
}

scopes! {
    /// Products, variants, categories and collections, whatever their status.
    CatalogRead = "catalog:read";
    /// … and changing them.
    CatalogWrite = "catalog:write";
    /// Stock levels, the ledger and adjustments.
    StockRead = "stock:read";
    /// … and adjusting the stock.
    StockWrite = "stock:write";
    /// Everybody's orders.
    OrdersRead = "orders:read";
    /// … and changing them; no route asks for it yet.
    OrdersWrite = "orders:write";
    /// Customers; no route asks for it yet.
    CustomersRead = "customers:read";
    /// … and changing them; no route asks for it yet.
    CustomersWrite = "customers:write";
    /// Whole tables as files.
    ExportsRead = "exports:read";
    /// Staff and roles.
    StaffRead = "staff:read";
    /// … inviting, changing and removing them, as far as one's own scopes reach.
    StaffWrite = "staff:write";
    /// API keys, never their secrets.
    KeysRead = "keys:read";
    /// … making, changing and revoking them, as far as one's own scopes reach.
    KeysWrite = "keys:write";
    /// Who changed what.
    AuditRead = "audit:read";
}

/// What somebody may do.
pub type Scopes = BTreeSet<Scope>;

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|scope| scope.as_str() == text).copied().ok_or(())
    }
}

/// The scopes with these names; a name that this version does not know allows nothing.
pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Scopes {
    names.into_iter().filter_map(|name| name.parse().ok()).collect()
}

/// Their names, as PostgreSQL stores them.
pub fn names(scopes: &Scopes) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_written_and_read_by_one_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert!(parse(["catalog:own", "", "CATALOG:READ"]).is_empty());
        let known = parse(["orders:read", "catalog:write"]);
        assert_eq!(names(&known), ["catalog:write", "orders:read"]);
    }
}
