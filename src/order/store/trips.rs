//! The statements of a batch, and its two trips to PostgreSQL.
//!
//! Statements that may travel behind an unconfirmed BEGIN carry the transaction's mark: if BEGIN
//! failed they would commit by themselves, and so they do nothing. Statements whose row count
//! must be right check it in SQL (`expect_rows`), because COMMIT may already be on its way.

use super::super::command::{Command, Locked};
use super::super::order::{Payment, PaymentStatus, State, Status};
use super::rows::{Keys, Rows};
use crate::id::OrderId;
use crate::idempotency::{Claim, Saved};
use crate::inventory::{Level, StockKey, store};
use crate::journal::{Form, Transaction};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};
use uuid::Uuid;

macro_rules! statements {
    ($($name:ident: $sql:expr;)+) => {
        /// The prepared statements of one connection.
        pub struct Statements { $($name: Statement,)+ }

        impl Statements {
            /// Prepares them in one round trip.
            pub async fn prepare(client: &Client) -> Result<Self, Error> {
                let ($($name,)+) = tokio::try_join!($(client.prepare($sql)),+)?;
                Ok(Self { $($name,)+ })
            }
        }
    };
}

statements! {
    take_keys: "
        INSERT INTO idempotency_keys (scope, key, request_hash, resource_id)
        SELECT k.scope, k.key, k.hash, k.resource_id
        FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[])
             AS k (scope, key, hash, resource_id)
        WHERE current_setting('doorbuster.batch', true) = $5
        ORDER BY k.scope, k.key
        ON CONFLICT DO NOTHING RETURNING scope, key";
    known_keys: Saved::LOOK_UP;
    lock_stock: "
        SELECT s.variant_id, s.location_id, s.available, s.held, s.sold, s.offer_version
        FROM unnest($1::uuid[], $2::uuid[]) AS k (variant_id, location_id)
        JOIN stock s USING (variant_id, location_id)
        ORDER BY s.variant_id, s.location_id FOR UPDATE OF s";
    now: "SELECT now()";
    lock_orders: "
        SELECT id, status, payment_status, fulfillment_status FROM orders
        WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    lock_expiring: "
        SELECT id, status, payment_status, fulfillment_status FROM orders
        WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED";
    payments: "
        SELECT order_id, id, provider, status, amount, created_at FROM payments
        WHERE order_id = ANY($1) ORDER BY order_id, id";
    insert_keys: "
        INSERT INTO idempotency_keys
            (scope, key, request_hash, resource_id, status, location, body)
        SELECT k.scope, k.key, k.hash, k.resource_id, k.status, k.location, k.body
        FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::smallint[],
                    $6::text[], $7::bytea[])
             AS k (scope, key, hash, resource_id, status, location, body)
        WHERE current_setting('doorbuster.batch', true) = $8
        ORDER BY k.scope, k.key";
    insert_orders: "
        INSERT INTO orders (id, number, status, payment_status, fulfillment_status, currency,
            subtotal, discount, shipping, tax, total, email, shipping_address, pay_by, created_at)
        SELECT o.id, o.number, o.status, o.payment_status, 'unfulfilled', o.currency,
            o.subtotal, o.discount, o.shipping, o.tax, o.total, o.email, o.address::jsonb,
            o.pay_by, o.created_at
        FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                    $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[],
                    $12::text[], $13::timestamptz[], $14::timestamptz[])
             AS o (id, number, status, payment_status, currency, subtotal, discount, shipping,
                   tax, total, email, address, pay_by, created_at)
        WHERE current_setting('doorbuster.batch', true) = $15";
    insert_lines: "
        INSERT INTO order_lines (order_id, id, variant_id, location_id, sku, title, quantity,
            unit_price, total, tax_rate)
        SELECT l.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[],
                    $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::integer[])
             AS l (order_id, id, variant_id, location_id, sku, title, quantity, unit_price,
                   total, tax_rate)
        WHERE current_setting('doorbuster.batch', true) = $11";
    insert_payments: "
        INSERT INTO payments (order_id, id, provider, token, status, amount, currency, key_scope,
            key, created_at, updated_at)
        SELECT p.order_id, p.id, p.provider, p.token, p.status, p.amount, p.currency,
            p.key_scope, p.key, $10, $10
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                    $7::text[], $8::text[], $9::text[])
             AS p (order_id, id, provider, token, status, amount, currency, key_scope, key)
        WHERE current_setting('doorbuster.batch', true) = $11";
    insert_ledger: "
        INSERT INTO stock_ledger (variant_id, location_id, cause, reference, supplied, available,
            held, sold, created_at)
        SELECT m.variant_id, m.location_id, m.cause, m.reference, 0, m.available, m.held, m.sold,
            $8
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[],
                    $7::bigint[])
             AS m (variant_id, location_id, cause, reference, available, held, sold)
        WHERE current_setting('doorbuster.batch', true) = $9";
    insert_outbox: "
        INSERT INTO outbox (aggregate_id, type, payload, created_at)
        SELECT e.aggregate_id, e.type, e.payload::jsonb, $4
        FROM unnest($1::uuid[], $2::text[], $3::text[]) AS e (aggregate_id, type, payload)
        WHERE current_setting('doorbuster.batch', true) = $5";
    update_orders: "
        WITH changed AS (
            UPDATE orders o SET status = c.status, payment_status = c.payment_status,
                cancel_reason = coalesce(c.reason, o.cancel_reason)
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
                 AS c (id, status, payment_status, reason)
            WHERE o.id = c.id RETURNING 1)
        SELECT expect_rows(count(*), $5) FROM changed";
    update_payments: "
        WITH changed AS (
            UPDATE payments p SET status = c.status, updated_at = now()
            FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS c (order_id, id, status)
            WHERE p.order_id = c.order_id AND p.id = c.id RETURNING 1)
        SELECT expect_rows(count(*), $4) FROM changed";
    save_replies: "
        WITH changed AS (
            UPDATE idempotency_keys i SET status = k.status, location = k.location, body = k.body
            FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::bytea[])
                 AS k (scope, key, status, location, body)
            WHERE i.scope = k.scope AND i.key = k.key AND i.status IS NULL RETURNING 1)
        SELECT expect_rows(count(*), $6) FROM changed";
    drop_keys: "
        DELETE FROM idempotency_keys i
        USING unnest($1::text[], $2::text[]) AS k (scope, key)
        WHERE i.scope = k.scope AND i.key = k.key";
    move_stock: "
        WITH moved AS (
            UPDATE stock s SET available = s.available + d.available, held = s.held + d.held,
                sold = s.sold + d.sold
            FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[],
                        $6::bigint[])
                 AS d (variant_id, location_id, available, held, sold, offer_version)
            WHERE s.variant_id = d.variant_id AND s.location_id = d.location_id
                AND (d.offer_version = 0 OR s.offer_version = d.offer_version)
                AND current_setting('doorbuster.batch', true) = $8
            RETURNING s.variant_id, s.location_id, s.available)
        SELECT array_agg(variant_id), array_agg(location_id), array_agg(available),
            expect_rows(count(*), $7) FROM moved";
}

type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// Runs the statement unless it has no rows to work on.
async fn query(
    client: &Client,
    statement: &Statement,
    rows: usize,
    params: Params<'_>,
) -> Result<Vec<Row>, Error> {
    if rows == 0 { Ok(Vec::new()) } else { client.query(statement, params).await }
}

/// What the locks returned.
pub struct Found {
    /// PostgreSQL's clock.
    pub now: OffsetDateTime,
    /// Keys that were taken before.
    pub keys: HashMap<(Arc<str>, Arc<str>), Saved>,
    /// The stock rows.
    pub stock: HashMap<StockKey, Locked>,
    /// The orders that exist, and are not locked by somebody else if they are to expire.
    pub orders: HashMap<OrderId, State>,
}

/// Trip 1 of the exact form: BEGIN, keys, stock, orders.
pub async fn lock(
    transaction: &Transaction<'_>,
    statements: &Statements,
    commands: &[&Command],
) -> Result<Found, Error> {
    let client = transaction.client;
    let claims = Claims::of(commands.iter().filter_map(|command| {
        command.new_claim().map(|claim| (claim, Some(command.resource())))
    }));
    let asked = Claims::of(commands.iter().filter_map(|c| c.claim().map(|claim| (claim, None))));
    let rows: BTreeSet<StockKey> = commands
        .iter()
        .flat_map(|command| command.placement().lines.iter().map(|line| line.stock))
        .collect();
    let (variants, locations) = store::columns(&rows);
    let ids = |expiring: bool| -> Vec<Uuid> {
        let existing = commands.iter().filter(|c| !matches!(c, Command::Place { .. }));
        let wanted = existing.filter(|c| matches!(c, Command::Expire { .. }) == expiring);
        wanted.map(|command| command.placement().id.uuid()).collect()
    };
    let (waited, skipped) = (ids(false), ids(true));
    let all: Vec<Uuid> = waited.iter().chain(&skipped).copied().collect();
    let Claims { scopes, keys, hashes, resources } = &claims;
    let take_params: Params<'_> = &[scopes, keys, hashes, resources, &transaction.mark];
    let asked_params: Params<'_> = &[&asked.scopes, &asked.keys];
    let stock_params: Params<'_> = &[&variants, &locations];
    let (waited_params, skipped_params): (Params<'_>, Params<'_>) = (&[&waited], &[&skipped]);
    let payment_params: Params<'_> = &[&all];
    // Sent in this order without waiting in between; every answer counts.
    let (begun, taken, known, stock, now, orders, expiring, payments) = tokio::join!(
        biased;
        transaction.begin(),
        query(client, &statements.take_keys, keys.len(), take_params),
        query(client, &statements.known_keys, asked.keys.len(), asked_params),
        query(client, &statements.lock_stock, variants.len(), stock_params),
        client.query_one(&statements.now, &[]),
        query(client, &statements.lock_orders, waited.len(), waited_params),
        query(client, &statements.lock_expiring, skipped.len(), skipped_params),
        query(client, &statements.payments, all.len(), payment_params),
    );
    begun?;
    let taken = taken?;
    let taken: HashSet<(&str, &str)> = taken.iter().map(|row| (row.get(0), row.get(1))).collect();
    let known = known?;
    let keys = known.iter().filter(|row| !taken.contains(&(row.get(0), row.get(1))));
    let keys = keys.map(Saved::read).collect();
    let stock = stock?.iter().map(|row| (store::key(row), locked(row))).collect();
    let now = now?.get(0);
    let mut states: HashMap<OrderId, State> = HashMap::new();
    for row in orders?.iter().chain(&expiring?) {
        states.insert(row.get::<_, Uuid>(0).into(), state(row));
    }
    for row in &payments? {
        let order = OrderId::from(row.get::<_, Uuid>(0));
        states.entry(order).and_modify(|state| state.payments.push(payment(row)));
    }
    Ok(Found { now, keys, stock, orders: states })
}

fn locked(row: &Row) -> Locked {
    let level = Level { available: row.get(2), held: row.get(3), sold: row.get(4) };
    Locked { level, offer_version: row.get(5) }
}

/// Reads a state, without its payments, from columns 1 to 3.
fn state(row: &Row) -> State {
    // The columns' CHECKs admit only words that parse.
    State {
        status: Status::parse(row.get(1)).unwrap_or(Status::Completed),
        payment_status: PaymentStatus::parse(row.get(2)).unwrap_or(PaymentStatus::Captured),
        fulfillment_status: row.get(3),
        payments: Vec::new(),
    }
}

/// Reads a payment from columns 1 to 5.
pub fn payment(row: &Row) -> Payment {
    Payment {
        id: row.get::<_, Uuid>(1).into(),
        provider: row.get(2),
        status: PaymentStatus::parse(row.get(3)).unwrap_or(PaymentStatus::RefundDue),
        amount: row.get(4),
        created_at: row.get(5),
    }
}

/// The columns of keys.
#[derive(Default)]
struct Claims<'c> {
    scopes: Vec<&'c str>,
    keys: Vec<&'c str>,
    hashes: Vec<&'c [u8]>,
    resources: Vec<Option<Uuid>>,
}

impl<'c> Claims<'c> {
    fn of(claims: impl IntoIterator<Item = (&'c Claim, Option<Uuid>)>) -> Self {
        let mut columns = Self::default();
        for (claim, resource) in claims {
            columns.push(claim, resource);
        }
        columns
    }

    fn push(&mut self, claim: &'c Claim, resource: Option<Uuid>) {
        self.scopes.push(&claim.scope);
        self.keys.push(&claim.key);
        self.hashes.push(&claim.request_hash);
        self.resources.push(resource);
    }
}

/// The last trip: the rows, the stock, COMMIT; in the optimistic form with BEGIN and the keys
/// before them. Returns what is available now in the rows that moved.
pub async fn write(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &Rows<'_>,
    form: Form,
) -> Result<Vec<(StockKey, i64)>, Error> {
    // Sent in this order without waiting in between; the hot stock rows come last, so that they
    // are locked only for the flush.
    let (begun, keys, inserted, updated, moved, committed) = tokio::join!(
        biased;
        async {
            match form {
                Form::Optimistic => transaction.begin().await,
                Form::Exact => Ok(()),
            }
        },
        write_keys(transaction, statements, &rows.keys, form),
        insert(transaction, statements, rows),
        update(transaction.client, statements, rows),
        move_stock(transaction, statements, rows, form),
        transaction.commit(),
    );
    begun?;
    keys?;
    inserted?;
    updated?;
    let moved = moved?;
    committed?;
    Ok(moved)
}

async fn write_keys(
    transaction: &Transaction<'_>,
    statements: &Statements,
    keys: &Keys<'_>,
    form: Form,
) -> Result<(), Error> {
    let (client, mark) = (transaction.client, &transaction.mark);
    let Keys { scope, key, hash, resource, status, location, body, .. } = keys;
    if form == Form::Optimistic {
        let params: Params<'_> = &[scope, key, hash, resource, status, location, body, mark];
        query(client, &statements.insert_keys, key.len(), params).await?;
        return Ok(());
    }
    // Waiting keys were taken without a reply, and stay so.
    let replied: Vec<usize> = (0..key.len()).filter(|&index| status[index].is_some()).collect();
    let scope: Vec<&str> = replied.iter().map(|&index| scope[index]).collect();
    let key: Vec<&str> = replied.iter().map(|&index| key[index]).collect();
    let status: Vec<Option<i16>> = replied.iter().map(|&index| status[index]).collect();
    let location: Vec<Option<&str>> = replied.iter().map(|&index| location[index]).collect();
    let body: Vec<Option<&[u8]>> = replied.iter().map(|&index| body[index]).collect();
    let count = count(replied.len());
    let (dropped_scope, dropped_key) = (&keys.dropped_scope, &keys.dropped_key);
    let save: Params<'_> = &[&scope, &key, &status, &location, &body, &count];
    let drop: Params<'_> = &[dropped_scope, dropped_key];
    let (saved, dropped) = tokio::join!(
        biased;
        query(client, &statements.save_replies, key.len(), save),
        query(client, &statements.drop_keys, dropped_key.len(), drop),
    );
    saved?;
    dropped?;
    Ok(())
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

async fn insert(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &Rows<'_>,
) -> Result<(), Error> {
    let (client, mark, now) = (transaction.client, &transaction.mark, &rows.now);
    let (o, l, p, m, e) = (&rows.orders, &rows.lines, &rows.payments, &rows.ledger, &rows.outbox);
    let orders: Params<'_> = &[
        &o.id,
        &o.number,
        &o.status,
        &o.payment_status,
        &o.currency,
        &o.subtotal,
        &o.discount,
        &o.shipping,
        &o.tax,
        &o.total,
        &o.email,
        &o.address,
        &o.pay_by,
        &o.created_at,
        mark,
    ];
    let lines: Params<'_> = &[
        &l.order,
        &l.id,
        &l.variant,
        &l.location,
        &l.sku,
        &l.title,
        &l.quantity,
        &l.unit_price,
        &l.total,
        &l.tax_rate,
        mark,
    ];
    let payments: Params<'_> = &[
        &p.order,
        &p.id,
        &p.provider,
        &p.token,
        &p.status,
        &p.amount,
        &p.currency,
        &p.key_scope,
        &p.key,
        now,
        mark,
    ];
    let ledger: Params<'_> = &[
        &m.variant,
        &m.location,
        &m.cause,
        &m.reference,
        &m.available,
        &m.held,
        &m.sold,
        now,
        mark,
    ];
    let outbox: Params<'_> = &[&e.aggregate, &e.kind, &e.payload, now, mark];
    let (orders, lines, payments, ledger, outbox) = tokio::join!(
        biased;
        query(client, &statements.insert_orders, o.id.len(), orders),
        query(client, &statements.insert_lines, l.id.len(), lines),
        query(client, &statements.insert_payments, p.id.len(), payments),
        query(client, &statements.insert_ledger, m.variant.len(), ledger),
        query(client, &statements.insert_outbox, e.aggregate.len(), outbox),
    );
    for inserted in [orders, lines, payments, ledger, outbox] {
        inserted?;
    }
    Ok(())
}

async fn update(client: &Client, statements: &Statements, rows: &Rows<'_>) -> Result<(), Error> {
    let ids: Vec<Uuid> = rows.changed.keys().copied().collect();
    let states = || rows.changed.values();
    let status: Vec<&str> = states().map(|(state, _)| state.status.as_str()).collect();
    let money: Vec<&str> = states().map(|(state, _)| state.payment_status.as_str()).collect();
    let reasons: Vec<Option<&str>> = states().map(|(_, reason)| *reason).collect();
    let (order, payment): (Vec<Uuid>, Vec<Uuid>) = rows.settled.keys().copied().unzip();
    let settled: Vec<&str> = rows.settled.values().copied().collect();
    let (orders_count, payments_count) = (count(ids.len()), count(payment.len()));
    let orders: Params<'_> = &[&ids, &status, &money, &reasons, &orders_count];
    let payments: Params<'_> = &[&order, &payment, &settled, &payments_count];
    let (orders, payments) = tokio::join!(
        biased;
        query(client, &statements.update_orders, ids.len(), orders),
        query(client, &statements.update_payments, payment.len(), payments),
    );
    orders?;
    payments?;
    Ok(())
}

async fn move_stock(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &Rows<'_>,
    form: Form,
) -> Result<Vec<(StockKey, i64)>, Error> {
    let client = transaction.client;
    let (variants, locations) = store::columns(rows.stock.keys());
    let sums = || rows.stock.values();
    let available: Vec<i64> = sums().map(|(sum, _)| sum.available).collect();
    let held: Vec<i64> = sums().map(|(sum, _)| sum.held).collect();
    let sold: Vec<i64> = sums().map(|(sum, _)| sum.sold).collect();
    let versions: Vec<i64> = sums().map(|(_, version)| *version).collect();
    let expected = count(variants.len());
    let unlocked = if form == Form::Optimistic { variants.len() } else { 0 };
    let lock: Params<'_> = &[&variants, &locations];
    let shift: Params<'_> = &[
        &variants,
        &locations,
        &available,
        &held,
        &sold,
        &versions,
        &expected,
        &transaction.mark,
    ];
    // UPDATE … FROM locks in no order, so a sorted lock goes before it.
    let (locked, moved) = tokio::join!(
        biased;
        query(client, &statements.lock_stock, unlocked, lock),
        query(client, &statements.move_stock, variants.len(), shift),
    );
    locked?;
    let moved = moved?;
    let Some(row) = moved.first() else { return Ok(Vec::new()) };
    let (variants, locations): (Vec<Uuid>, Vec<Uuid>) = (row.get(0), row.get(1));
    let available: Vec<i64> = row.get(2);
    let keys = variants.into_iter().zip(locations).map(|(variant, location)| StockKey {
        variant: variant.into(),
        location: location.into(),
    });
    Ok(keys.zip(available).collect())
}
