//! The two trips of a batch to PostgreSQL.

use super::super::command::{Command, Locked};
use super::super::order::{Payment, PaymentStatus, State, Status};
use super::growth::span;
use super::rows::{Keys, Rows};
use super::statements::Statements;
use crate::id::{OrderId, ShopperId};
use crate::idempotency::{Claims, KeyId, Saved};
use crate::inventory::{Level, StockKey, store};
use crate::journal::{Doubt, Form, Reading, Transaction};
use std::collections::{BTreeSet, HashMap};
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};
use uuid::Uuid;

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
    pub clock: Reading,
    /// Keys that were taken before.
    pub keys: HashMap<KeyId, Saved>,
    /// The versions of the carts.
    pub carts: HashMap<ShopperId, i64>,
    /// The stock rows.
    pub stock: HashMap<StockKey, Locked>,
    /// The orders that exist, and are not locked by somebody else if they are to expire.
    pub orders: HashMap<OrderId, State>,
}

/// Trip 1 of the exact form: BEGIN, keys, carts, stock, orders.
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
    let doubt = transaction.doubt;
    let [waited, skipped] = [false, true].map(|expiring| existing(commands, doubt, expiring));
    let all: Vec<Uuid> = waited.iter().chain(&skipped).copied().collect();
    let Claims { scopes, keys, hashes, resources } = &claims;
    let take_params: Params<'_> = &[scopes, keys, hashes, resources, &transaction.mark];
    let asked_params: Params<'_> = &[&asked.scopes, &asked.keys];
    let stock_params: Params<'_> = &[&variants, &locations];
    let carts: Vec<Uuid> =
        commands.iter().filter_map(|c| c.cart()).map(|(shopper, _)| shopper.uuid()).collect();
    let carts_params: Params<'_> = &[&carts];
    let spans = [&waited, &skipped, &all].map(|ids| span(ids));
    let waited_params: Params<'_> = &[&waited, &spans[0].0, &spans[0].1];
    let skipped_params: Params<'_> = &[&skipped, &spans[1].0, &spans[1].1];
    let payment_params: Params<'_> = &[&all, &spans[2].0, &spans[2].1];
    // Sent in this order without waiting in between; every answer counts.
    let (begun, taken, carts, stock, orders, expiring, payments, known) = tokio::join!(
        biased;
        transaction.begin(),
        query(client, &statements.take_keys, keys.len(), take_params),
        query(client, &statements.lock_carts, carts.len(), carts_params),
        query(client, &statements.lock_stock, variants.len(), stock_params),
        query(client, &statements.lock_orders, waited.len(), waited_params),
        query(client, &statements.lock_expiring, skipped.len(), skipped_params),
        query(client, &statements.payments, all.len(), payment_params),
        query(client, &statements.known_keys, asked.keys.len(), asked_params),
    );
    // The first error is the reason of all that follow.
    let (clock, taken, carts, stock, orders) = (begun?, taken?, carts?, stock?, orders?);
    let (expiring, payments, known) = (expiring?, payments?, known?);
    let claimed = commands.iter().filter_map(|command| command.new_claim());
    let keys = Saved::others(claimed, &taken, &known);
    let carts = carts.iter().map(|row| (row.get::<_, Uuid>(0).into(), row.get(1))).collect();
    let stock = stock.iter().map(|row| (store::key(row), locked(row))).collect();
    let mut states: HashMap<OrderId, State> = HashMap::new();
    for row in orders.iter().chain(&expiring) {
        states.insert(row.get::<_, Uuid>(0).into(), state(row));
    }
    for row in &payments {
        let order = OrderId::from(row.get::<_, Uuid>(0));
        states.entry(order).and_modify(|state| state.payments.push(payment(row)));
    }
    Ok(Found { clock, keys, carts, stock, orders: states })
}

/// The ids of orders that exist already, or may exist because an earlier run's answer was lost:
/// those that are to expire, or the others.
fn existing(commands: &[&Command], doubt: Doubt, expiring: bool) -> Vec<Uuid> {
    let may_exist = |c: &&&Command| doubt != Doubt::None || !matches!(c, Command::Place { .. });
    let existing = commands.iter().filter(may_exist);
    let wanted = existing.filter(|c| matches!(c, Command::Expire { .. }) == expiring);
    wanted.map(|command| command.placement().id.uuid()).collect()
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

/// The last trip: the rows, the stock, COMMIT; in the optimistic form with BEGIN and the keys
/// before them. Returns what is available now in the rows that moved.
pub async fn write(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &Rows<'_>,
    form: Form,
    now: OffsetDateTime,
) -> Result<Vec<(StockKey, i64)>, Error> {
    // Sent in this order without waiting in between; the hot stock rows come last, so that they
    // are locked only for the flush.
    let (begun, keys, late, emptied, inserted, updated, moved, committed) = tokio::join!(
        biased;
        async {
            match form {
                Form::Optimistic => transaction.begin().await.map(drop),
                Form::Exact => Ok(()),
            }
        },
        write_keys(transaction, statements, &rows.keys, form),
        async {
            match form {
                Form::Optimistic => transaction.unless_late(now).await,
                Form::Exact => Ok(()),
            }
        },
        empty_carts(transaction, statements, rows, form),
        insert(transaction, statements, rows, now),
        update(transaction.client, statements, rows),
        move_stock(transaction, statements, rows, form),
        transaction.commit(),
    );
    begun?;
    keys?;
    late?;
    emptied?;
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
    let Keys { scope, key, hash, resource, is_new, status, location, body, .. } = keys;
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
    let resource: Vec<Uuid> = replied.iter().map(|&index| resource[index]).collect();
    let is_new: Vec<bool> = replied.iter().map(|&index| is_new[index]).collect();
    // The key of an earlier request may be gone; those of this batch were taken by it.
    let count = count(is_new.iter().filter(|is_new| **is_new).count());
    let (dropped_scope, dropped_key) = (&keys.dropped_scope, &keys.dropped_key);
    let save: Params<'_> = &[&scope, &key, &resource, &is_new, &status, &location, &body, &count];
    let drop: Params<'_> = &[dropped_scope, dropped_key, &keys.dropped_resource];
    let (saved, dropped) = tokio::join!(
        biased;
        query(client, &statements.save_replies, key.len(), save),
        query(client, &statements.drop_keys, dropped_key.len(), drop),
    );
    saved?;
    dropped?;
    Ok(())
}

/// Empties the carts that became orders, unless one has changed since it was priced.
async fn empty_carts(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &Rows<'_>,
    form: Form,
) -> Result<(), Error> {
    let (client, mark) = (transaction.client, &transaction.mark);
    let (shoppers, versions): (Vec<Uuid>, Vec<i64>) = rows.carts.iter().unzip();
    let unlocked = if form == Form::Optimistic { shoppers.len() } else { 0 };
    let expected = count(shoppers.len());
    let lock: Params<'_> = &[&shoppers];
    let empty: Params<'_> = &[&shoppers, &versions, &expected, mark];
    // UPDATE … FROM locks in no order, so a sorted lock goes before it.
    let (locked, emptied) = tokio::join!(
        biased;
        query(client, &statements.lock_carts, unlocked, lock),
        query(client, &statements.empty_carts, shoppers.len(), empty),
    );
    locked?;
    emptied?;
    Ok(())
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The rows of new orders, and the entries of whatever moved: in one statement, because each
/// statement costs as much as a few rows.
async fn insert(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &Rows<'_>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let (o, l) = (&rows.orders, &rows.lines);
    let (p, m, e) = (&rows.payments, &rows.ledger, &rows.outbox);
    #[rustfmt::skip]
    let params: Params<'_> = &[
        &transaction.mark, &now,
        &o.id, &o.number, &o.status, &o.payment_status, &o.currency, &o.subtotal, &o.discount,
        &o.shipping, &o.tax, &o.total, &o.email, &o.address, &o.pay_by, &o.created_at, &o.shopper,
        &l.order, &l.id, &l.variant, &l.location, &l.sku, &l.title, &l.quantity, &l.unit_price,
        &l.total, &l.tax_rate,
        &p.order, &p.id, &p.provider, &p.token, &p.status, &p.amount, &p.currency, &p.key_scope,
        &p.key,
        &m.variant, &m.location, &m.cause, &m.reference, &m.available, &m.held, &m.sold,
        &e.aggregate, &e.kind, &e.payload,
    ];
    let added = o.id.len() + p.id.len() + m.variant.len() + e.aggregate.len();
    query(transaction.client, &statements.insert_rows, added, params).await?;
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
    let ((first, last), (paid_first, paid_last)) = (span(&ids), span(&order));
    let orders: Params<'_> = &[&ids, &status, &money, &reasons, &orders_count, &first, &last];
    let payments: Params<'_> =
        &[&order, &payment, &settled, &payments_count, &paid_first, &paid_last];
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
    // UPDATE … FROM locks in no order, so a sorted lock goes before it, unless there is one row.
    let has_order = form == Form::Exact || variants.len() == 1;
    let unlocked = if has_order { 0 } else { variants.len() };
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
