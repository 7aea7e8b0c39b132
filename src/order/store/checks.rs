//! The invariants of orders, payments and keys.

use crate::verify::Check;

/// The invariants that `verify` checks.
pub const CHECKS: &[Check] = &[
    Check {
        id: "I2",
        rule: "held = lines of unpaid live orders",
        sql: "SELECT format('stock of %s: held %s, unpaid orders have %s',
                  coalesce(s.variant_id, l.variant_id), s.held, l.quantity)
              FROM stock s FULL JOIN (
                  SELECT l.variant_id, l.location_id, sum(l.quantity) AS quantity
                  FROM order_lines l JOIN orders o ON o.id = l.order_id
                  WHERE o.status = 'pending_payment' GROUP BY 1, 2
              ) l USING (variant_id, location_id)
              WHERE coalesce(s.held, 0) <> coalesce(l.quantity, 0)",
    },
    Check {
        id: "I3",
        rule: "sold = lines of paid and confirmed orders",
        sql: "SELECT format('stock of %s: sold %s, orders have %s',
                  coalesce(s.variant_id, l.variant_id), s.sold, l.quantity)
              FROM stock s FULL JOIN (
                  SELECT variant_id, location_id, sum(quantity) AS quantity FROM (
                      SELECT l.variant_id, l.location_id, l.quantity
                      FROM order_lines l JOIN orders o ON o.id = l.order_id
                      WHERE o.status IN ('confirmed', 'paid', 'fulfilled', 'completed')
                      UNION ALL SELECT variant_id, location_id, ordered FROM archived_stock) units
                  GROUP BY 1, 2
              ) l USING (variant_id, location_id)
              WHERE coalesce(s.sold, 0) <> coalesce(l.quantity, 0)",
    },
    Check {
        id: "I4",
        rule: "an order is whole: its lines sum to its subtotal, its amounts to its total",
        sql: "SELECT format('order %s: subtotal %s, lines %s', o.id, o.subtotal, l.total)
              FROM orders o LEFT JOIN (
                  SELECT order_id, sum(total) AS total FROM order_lines GROUP BY 1
              ) l ON l.order_id = o.id
              WHERE o.subtotal IS DISTINCT FROM l.total
                 OR o.total <> o.subtotal - o.discount + o.shipping + o.tax",
    },
    Check {
        id: "I4",
        rule: "lines, payments and ledger entries belong to orders",
        sql: "SELECT format('line %s of order %s, which does not exist', l.id, l.order_id)
              FROM order_lines l LEFT JOIN orders o ON o.id = l.order_id WHERE o.id IS NULL
              UNION ALL
              SELECT format('payment %s of order %s, which does not exist', p.id, p.order_id)
              FROM payments p LEFT JOIN orders o ON o.id = p.order_id WHERE o.id IS NULL
              UNION ALL
              SELECT format('ledger entry %s of order %s, which does not exist', m.id,
                  m.reference)
              FROM stock_ledger m LEFT JOIN orders o ON o.id = m.reference
              WHERE m.cause LIKE 'order_%' AND o.id IS NULL
                  AND m.reference > (SELECT until FROM archived_orders)",
    },
    Check {
        id: "I5",
        rule: "no key without its effect",
        sql: "SELECT format('key %s of order %s, which does not exist', k.key, k.resource_id)
              FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.resource_id
              WHERE k.location LIKE '/v1/orders/%' AND o.id IS NULL
                  AND k.resource_id > (SELECT until FROM archived_orders)
              UNION ALL
              SELECT format('key %s has no reply and no payment that it waits for', k.key)
              FROM idempotency_keys k
              WHERE k.status IS NULL AND NOT EXISTS (
                  SELECT FROM payments p WHERE p.key_scope = k.scope AND p.key = k.key
                      AND p.status = 'processing')",
    },
    Check {
        id: "I5",
        rule: "one key, at most one order, and no order of the last day without its key",
        sql: "SELECT format('order %s has %s keys', o.id, count(k.key))
              FROM orders o LEFT JOIN idempotency_keys k ON k.resource_id = o.id
                  AND (k.status IS NULL OR k.location LIKE '/v1/orders/%')
              WHERE o.created_at > now() - interval '23 hours'
              GROUP BY o.id HAVING count(k.key) <> 1",
    },
    Check {
        id: "I5",
        rule: "order numbers are unique",
        sql: "SELECT format('%s orders have number %s', count(*), number)
              FROM orders GROUP BY number HAVING count(*) > 1",
    },
    Check {
        id: "I6",
        rule: "captured money is on paid orders, and a paid order has its total captured once",
        sql: "SELECT format('order %s is %s, captured %s of %s', o.id, o.status, p.captured,
                  o.total)
              FROM orders o LEFT JOIN (
                  SELECT order_id, sum(amount) AS captured FROM payments
                  WHERE status = 'captured' GROUP BY 1
              ) p ON p.order_id = o.id
              WHERE CASE WHEN o.status = 'paid' THEN p.captured IS DISTINCT FROM o.total
                         WHEN o.status IN ('fulfilled', 'completed') THEN false
                         ELSE p.captured IS NOT NULL END",
    },
    Check {
        id: "I8",
        rule: "every placed order has its event",
        sql: "SELECT format('order %s has %s events order.placed', o.id, count(e.id))
              FROM orders o LEFT JOIN outbox e
                  ON e.aggregate_id = o.id AND e.type = 'order.placed'
              WHERE o.created_at > now() - interval '23 hours'
              GROUP BY o.id HAVING count(e.id) <> 1",
    },
    Check {
        id: "I9",
        rule: "every order line carries a price that was valid when it was committed",
        // Lines from before the history began are left out.
        sql: "SELECT format('line %s of order %s: %s %s, the price was %s', l.id, l.order_id,
                  l.unit_price, o.currency, coalesce(h.amount::text, 'none'))
              FROM order_lines l
              JOIN orders o ON o.id = l.order_id
              JOIN stock_ledger m ON m.reference = l.order_id AND m.cause = 'order_placed'
                  AND m.variant_id = l.variant_id AND m.location_id = l.location_id
              LEFT JOIN LATERAL (
                  SELECT amount FROM price_history
                  WHERE variant_id = l.variant_id AND currency = o.currency
                      AND after_entry < m.id
                  ORDER BY id DESC LIMIT 1
              ) h ON true
              WHERE h.amount IS DISTINCT FROM l.unit_price AND EXISTS (
                  SELECT FROM price_history
                  WHERE variant_id = l.variant_id AND after_entry < m.id)",
    },
];
