//! A member of staff.

use crate::id::StaffId;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Somebody who works for the shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Staff)]
pub struct Staff {
    /// The id.
    pub id: StaffId,
    /// What they log in with, as it was typed.
    #[schema(value_type = crate::contact::Email)]
    pub email: String,
    /// How to address them.
    #[schema(example = "Grace Hopper")]
    pub name: String,
    /// What they may do: the name of a role.
    #[schema(example = "support")]
    pub role: String,
    /// Whether they have not accepted their invitation yet.
    pub invited: bool,
    /// Whether their authenticator is asked for.
    pub totp: bool,
    /// Grows by one with every change; also the `ETag`.
    pub version: i64,
    /// When they were invited.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}
