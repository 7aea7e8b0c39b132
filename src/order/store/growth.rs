//! Which of the tables grow with orders, and what is kept of orders that are archived.

use crate::partitions::{Archival, By, End, Growth};
use uuid::Uuid;

/// What `doorbuster partitions` divides.
pub const GROWTHS: &[Growth] = &[
    Growth { table: "orders", by: By::Id("id"), end: End::Archived(ORDERS) },
    Growth { table: "order_lines", by: By::Id("order_id"), end: End::Archived(AS_THEY_ARE) },
    Growth { table: "payments", by: By::Id("order_id"), end: End::Archived(AS_THEY_ARE) },
    Growth {
        table: "outbox",
        by: By::Time("created_at"),
        end: End::Dropped(|settings| settings.outbox),
    },
];

/// The smallest and the greatest of the ids. Whoever looks for a list of ids says both: a range
/// keeps a prepared statement from looking into all partitions, a list does not. With 27 of them
/// that is a tenth of the time.
pub fn span(ids: &[Uuid]) -> (Uuid, Uuid) {
    let (first, last) = (ids.iter().min(), ids.iter().max());
    (first.copied().unwrap_or_default(), last.copied().unwrap_or_default())
}

/// Orders of which somebody still waits for something stay. Of the others the units that were sold
/// are kept, because the stock counts them.
const ORDERS: Archival = Archival {
    moves: Some("status, payment_status"),
    unfinished: Some(
    "SELECT (SELECT format('%s of these orders are not done with: the oldest is %s', count(*),
             (array_agg(id ORDER BY id))[1])
         FROM :orders AS o
         WHERE status = 'pending_payment' OR payment_status IN ('processing', 'refund_due')
             OR EXISTS (SELECT FROM :payments AS p
                 WHERE p.order_id = o.id AND p.status IN ('processing', 'refund_due'))
         HAVING count(*) > 0)"),
    carry: Some("INSERT INTO archived_stock AS a (variant_id, location_id, ordered)
         SELECT l.variant_id, l.location_id, sum(l.quantity)
         FROM :orders AS o JOIN :order_lines AS l ON l.order_id = o.id
         WHERE o.status IN ('confirmed', 'paid', 'fulfilled', 'completed') GROUP BY 1, 2
         ON CONFLICT (variant_id, location_id) DO UPDATE SET ordered = a.ordered + excluded.ordered;
     UPDATE archived_orders SET until = greatest(until,
         (SELECT id FROM :orders AS o ORDER BY id DESC LIMIT 1))"),
};

const AS_THEY_ARE: Archival = Archival { moves: None, unfinished: None, carry: None };
