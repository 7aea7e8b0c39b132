//! The rules of stock: levels, and the movements between them.

use crate::id::{LocationId, VariantId};
use uuid::Uuid;

/// Where everything lies until there are more locations; made by the first migration.
pub const DEFAULT_LOCATION: Uuid = Uuid::from_u128(0x01900000_0000_7000_8000_000000000001);

/// The largest quantity of one line or adjustment.
pub const QUANTITY_MAX: i64 = 1_000_000;

/// One stock row. Rows are locked in the order of their keys, everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StockKey {
    /// What.
    pub variant: VariantId,
    /// Where.
    pub location: LocationId,
}

impl StockKey {
    /// The variant's row at the default location.
    pub fn of(variant: VariantId) -> Self {
        Self { variant, location: DEFAULT_LOCATION.into() }
    }
}

/// The counts of a stock row: `supplied = available + held + sold`, each at least 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Can be ordered.
    pub available: i64,
    /// In unpaid orders.
    pub held: i64,
    /// In paid and confirmed orders.
    pub sold: i64,
}

/// What moves an order's units from one count to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    /// An order waits for its payment.
    Hold,
    /// An order is sold at once: on invoice, or paid after its hold had expired.
    Sell,
    /// The payment of a held order has come.
    SellHeld,
    /// An unpaid order was cancelled or has expired.
    ReleaseHeld,
    /// A confirmed order was cancelled.
    ReleaseSold,
}

impl Movement {
    /// The change of the counts when `quantity` units move.
    pub fn delta(self, quantity: i64) -> Level {
        let (available, held, sold) = match self {
            Movement::Hold => (-1, 1, 0),
            Movement::Sell => (-1, 0, 1),
            Movement::SellHeld => (0, -1, 1),
            Movement::ReleaseHeld => (1, -1, 0),
            Movement::ReleaseSold => (1, 0, -1),
        };
        Level { available: available * quantity, held: held * quantity, sold: sold * quantity }
    }
}

/// Why stock moved, as the ledger keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An order was placed.
    OrderPlaced,
    /// A payment was captured or an invoice agreed.
    OrderPaid,
    /// The order was cancelled.
    OrderCancelled,
    /// The order was not paid in time.
    OrderExpired,
    /// Staff counted, received or lost something.
    Adjustment,
}

impl Cause {
    /// As the ledger stores it.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::OrderPlaced => "order_placed",
            Cause::OrderPaid => "order_paid",
            Cause::OrderCancelled => "order_cancelled",
            Cause::OrderExpired => "order_expired",
            Cause::Adjustment => "adjustment",
        }
    }
}

impl Level {
    /// The counts after `delta`, unless one would fall below 0 or overflow.
    pub fn after(self, delta: Level) -> Option<Level> {
        let add = |count: i64, delta: i64| count.checked_add(delta).filter(|sum| *sum >= 0);
        Some(Level {
            available: add(self.available, delta.available)?,
            held: add(self.held, delta.held)?,
            sold: add(self.sold, delta.sold)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOVEMENTS: [Movement; 5] = [
        Movement::Hold,
        Movement::Sell,
        Movement::SellHeld,
        Movement::ReleaseHeld,
        Movement::ReleaseSold,
    ];

    proptest! {
        #[test]
        fn movements_never_make_or_lose_a_unit_and_never_go_below_zero(
            available in 0..1_000i64,
            moves in prop::collection::vec((0..5usize, 1..400i64), 0..60),
        ) {
            let mut level = Level { available, held: 0, sold: 0 };
            for (movement, quantity) in moves {
                if let Some(after) = level.after(MOVEMENTS[movement].delta(quantity)) {
                    level = after;
                }
                prop_assert_eq!(level.available + level.held + level.sold, available);
                prop_assert!(level.available >= 0 && level.held >= 0 && level.sold >= 0);
            }
        }
    }

    #[test]
    fn a_release_takes_back_what_its_counterpart_did() {
        let level = Level { available: 10, held: 3, sold: 4 };
        for (there, back) in
            [(Movement::Hold, Movement::ReleaseHeld), (Movement::Sell, Movement::ReleaseSold)]
        {
            let moved = level.after(there.delta(2)).and_then(|moved| moved.after(back.delta(2)));
            assert_eq!(moved, Some(level));
        }
    }
}
