//! The invariants of carts.

use crate::verify::Check;

/// The invariants that `verify` checks.
pub const CHECKS: &[Check] = &[
    Check {
        id: "I4",
        rule: "a cart is well formed and belongs to a shopper",
        sql: "SELECT format('cart of %s, who is neither a session nor a customer', c.shopper_id)
              FROM carts c WHERE c.merged_into IS NULL
                  AND NOT EXISTS (SELECT FROM sessions s WHERE s.id = c.shopper_id)
                  AND NOT EXISTS (SELECT FROM customers u WHERE u.id = c.shopper_id)
              UNION ALL
              SELECT format('cart of shopper %s: a line or a variant stands there twice',
                  c.shopper_id)
              FROM carts c, LATERAL (
                  SELECT count(*) AS lines, count(DISTINCT i->>'id') AS ids,
                      count(DISTINCT i->>'variant_id') AS variants
                  FROM jsonb_array_elements(c.items) i) n
              WHERE n.lines <> n.ids OR n.lines <> n.variants OR n.lines > 2000",
    },
    Check {
        id: "I4",
        rule: "a cart's lines are variants in quantities from 1 to 1,000,000",
        sql: "SELECT format('cart of shopper %s: %s of variant %s', c.shopper_id, i->>'quantity',
                  i->>'variant_id')
              FROM carts c CROSS JOIN jsonb_array_elements(c.items) i
              LEFT JOIN variants v ON v.id = (i->>'variant_id')::uuid
              WHERE v.id IS NULL OR (i->>'quantity')::bigint NOT BETWEEN 1 AND 1000000",
    },
];
