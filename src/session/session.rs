//! A session.

use crate::id::{CustomerId, SessionId, ShopperId};
use time::OffsetDateTime;

/// A session that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// Who has logged in; nobody, if it is a guest's.
    pub customer: Option<CustomerId>,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it is over unless it is used.
    pub expires_at: OffsetDateTime,
}

impl Session {
    /// Whose the cart and the orders are.
    pub fn shopper(&self) -> ShopperId {
        self.customer.map_or_else(|| self.id.uuid(), CustomerId::uuid).into()
    }
}
