//! The invariants of the catalog.

use crate::verify::Check;

/// The invariants that `verify` checks.
pub const CHECKS: &[Check] = &[Check {
    id: "I9",
    rule: "every price is the newest one of its history",
    sql: "SELECT format('variant %s: price %s %s, history %s',
              coalesce(p.variant_id, h.variant_id), p.amount, coalesce(p.currency, h.currency),
              h.amount)
          FROM prices p FULL JOIN (
              SELECT DISTINCT ON (variant_id, currency) variant_id, currency, amount
              FROM price_history ORDER BY variant_id, currency, id DESC
          ) h USING (variant_id, currency)
          WHERE p.amount IS DISTINCT FROM h.amount",
}];
