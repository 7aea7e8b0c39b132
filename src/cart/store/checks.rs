//! The invariants of carts.

use crate::verify::Check;

/// The invariants that `verify` checks.
pub const CHECKS: &[Check] = &[
    Check {
        id: "I4",
        rule: "a cart is well formed and belongs to a session",
        sql: "SELECT format('cart of session %s, which does not exist', c.session_id)
              FROM carts c LEFT JOIN sessions s ON s.id = c.session_id WHERE s.id IS NULL
              UNION ALL
              SELECT format('cart of session %s: a line or a variant stands there twice',
                  c.session_id)
              FROM carts c, LATERAL (
                  SELECT count(*) AS lines, count(DISTINCT i->>'id') AS ids,
                      count(DISTINCT i->>'variant_id') AS variants
                  FROM jsonb_array_elements(c.items) i) n
              WHERE n.lines <> n.ids OR n.lines <> n.variants OR n.lines > 2000",
    },
    Check {
        id: "I4",
        rule: "a cart's lines are variants in quantities from 1 to 1,000,000",
        sql: "SELECT format('cart of session %s: %s of variant %s', c.session_id, i->>'quantity',
                  i->>'variant_id')
              FROM carts c CROSS JOIN jsonb_array_elements(c.items) i
              LEFT JOIN variants v ON v.id = (i->>'variant_id')::uuid
              WHERE v.id IS NULL OR (i->>'quantity')::bigint NOT BETWEEN 1 AND 1000000",
    },
];
