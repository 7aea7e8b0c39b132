//! Roles: named sets of scopes. Four are always there, others are the shop's own.

use crate::auth::{Scope, Scopes};
use crate::error::Violations;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A set of scopes with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Role {
    /// What it is called.
    #[schema(example = "support")]
    pub name: String,
    /// What it allows.
    #[schema(value_type = Vec<Scope>)]
    pub scopes: Scopes,
    /// Whether it is always there and cannot be changed.
    pub built_in: bool,
    /// Grows by one with every change; also the `ETag`.
    pub version: i64,
    /// When it was made; of a role that is always there, nothing.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub created_at: Option<OffsetDateTime>,
}

/// The role that may do everything.
pub const OWNER: &str = "owner";

/// What of the roles that are always there only the owner's may do.
const OWNERS_ONLY: [Scope; 2] = [Scope::StaffWrite, Scope::KeysWrite];

/// The roles that are always there, widest first.
pub fn built_in() -> Vec<Role> {
    use Scope::*;
    let all: Scopes = Scope::ALL.iter().copied().collect();
    let manager = all.iter().copied().filter(|scope| !OWNERS_ONLY.contains(scope)).collect();
    let support =
        [CatalogRead, StockRead, OrdersRead, OrdersWrite, CustomersRead, CustomersWrite];
    let read_only = [CatalogRead, StockRead, OrdersRead, CustomersRead];
    let role = |name: &str, scopes| {
        let name = name.to_owned();
        Role { name, scopes, built_in: true, version: 1, created_at: None }
    };
    vec![
        role(OWNER, all),
        role("manager", manager),
        role("support", support.into()),
        role("read-only", read_only.into()),
    ]
}

/// The role with this name that is always there.
pub fn find_built_in(name: &str) -> Option<Role> {
    built_in().into_iter().find(|role| role.name == name)
}

/// Whether a role, or a sales channel, may be called so.
pub fn is_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (2..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_inner)
}

/// Notes what is wrong with a name.
pub fn check_name(name: &str, pointer: &str, violations: &mut Violations) {
    let detail = "must have 2 to 40 of a-z, 0-9 and -, the first one a letter";
    violations.require(is_name(name), pointer, detail);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_built_in_role_may_do_less_than_the_one_before() {
        let roles = built_in();
        for pair in roles.windows(2) {
            let (wide, narrow) = (&pair[0], &pair[1]);
            let is_narrower =
                narrow.scopes.is_subset(&wide.scopes) && narrow.scopes != wide.scopes;
            assert!(is_narrower, "{} within {}", narrow.name, wide.name);
        }
        assert_eq!(roles[0].scopes.len(), Scope::ALL.len(), "the owner may do everything");
    }

    #[test]
    fn only_an_owner_lets_others_in_and_who_only_reads_writes_nothing() {
        let of = |name: &str| find_built_in(name).unwrap().scopes;
        for role in ["manager", "support", "read-only"] {
            assert!(OWNERS_ONLY.iter().all(|scope| !of(role).contains(scope)), "{role}");
        }
        assert!(of("read-only").iter().all(|scope| scope.as_str().ends_with(":read")));
    }

    #[test]
    fn names_are_short_and_plain() {
        for fine in ["ab", "warehouse-2", "read-only", &"a".repeat(40)] {
            assert!(is_name(fine), "{fine}");
        }
        for wrong in ["", "a", "2nd", "-a", "Ab", "a b", "a_b", "ä1", &"a".repeat(41)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
