//! The carts' side of the journal, and their SQL: one transaction for a whole batch.
//!
//! Trip 1 takes the keys and locks the carts, the rule decides on what the locks returned, trip 2
//! writes. Locks are taken in one order everywhere: keys, then carts; each sorted.
//!
//! A batch whose commit was not answered runs again. A change must not be carried out twice then,
//! with or without an idempotency key; so each cart carries, in the same row and transaction, the
//! ids of the changes that each lane made there last. One set for each lane is enough: a lane
//! settles what is in doubt before it takes the next batch, and locking the cart waits for a
//! transaction in doubt. Sets older than any entry's deadline are dropped.

mod checks;
mod erase;
mod merge;
mod slot;
mod statements;

pub use checks::CHECKS;
pub use erase::erase;
pub use merge::merge;
pub use statements::{EMPTY, LOCK};

use super::cart::{Cart, Item, Shop};
use super::decide::{Answer, Command, Decisions, Locked, World, decide};
use crate::catalog::Offers;
use crate::contact::Address;
use crate::error::{Code, Problem};
use crate::id::{ShopperId, VariantId};
use crate::idempotency::{Claims, KeyId, Saved};
use crate::journal::{Doubt, Form, Pass, Transaction, Weight, Work};
use crate::postgres::Postgres;
use crate::pricing::Terms;
use crate::retention::Sweep;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slot::Slot;
use statements::{READ, Statements};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// Carts are locked while prices are looked up, nearly always in memory; checkouts of these carts
/// wait for no slow reads.
const PRICED_WITHIN: Duration = Duration::from_millis(500);

/// One command on its way through the journal, with the sender of its answer.
pub struct Entry {
    /// What to do.
    pub command: Command,
    /// Bytes of what was shown of the cart last, as far as that is remembered.
    pub shown: usize,
    /// When the client stops waiting.
    pub deadline: Instant,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
    /// Given back when the work is done, not when the client leaves.
    pub pass: Pass,
}

/// What is removed: carts of guests whose session is over, then those sessions.
pub const SWEEPS: &[Sweep] = &[
    Sweep {
        table: "carts",
        since: "updated_at",
        // Not at once: whoever found the session just before may be moving its expiry on.
        only: "NOT EXISTS (SELECT FROM sessions s WHERE s.id = carts.shopper_id
                   AND s.expires_at > now() - interval '1 minute')
               AND NOT EXISTS (SELECT FROM customers c WHERE c.id = carts.shopper_id)",
        // A look-up that was remembered may still have changed it.
        keep: |_| std::time::Duration::from_secs(60),
    },
    Sweep {
        table: "sessions",
        since: "expires_at",
        only: "NOT EXISTS (SELECT FROM carts c WHERE c.shopper_id = sessions.id)",
        keep: |_| std::time::Duration::from_secs(60 * 60),
    },
];

/// Commits changes of carts.
pub struct CartCommits {
    /// What carts are priced with.
    pub offers: Offers,
    /// What is charged beside the prices.
    pub terms: Terms,
}

impl CartCommits {
    /// What these changes of these carts are priced with.
    pub async fn shop_for<'c>(
        &self,
        commands: &[&Command],
        carts: impl Iterator<Item = &'c Cart>,
    ) -> Result<Shop, Problem> {
        let present = carts.flat_map(Cart::variants);
        let asked = commands.iter().flat_map(|command| command.change.variants());
        let variants: BTreeSet<VariantId> = present.chain(asked).collect();
        let offers = self.offers.current_by_id(variants).await?;
        Ok(Shop { offers, terms: self.terms })
    }
}

impl Work for CartCommits {
    type Entry = Entry;
    type Outcome = Answer;
    type Statements = Statements;

    fn weight(&self, entry: &Entry) -> Weight {
        let lines = entry.command.change.variants().count().max(1);
        // A small change of a large cart writes all of it, and its reply.
        Weight { lines, bytes: 2048 + 128 * lines + 2 * entry.shown }
    }

    fn deadline(&self, entry: &Entry) -> Instant {
        entry.deadline
    }

    fn form(&self, _: &[Entry]) -> Form {
        Form::Exact
    }

    async fn prepare(&self, client: &Client) -> Result<Statements, Error> {
        Statements::prepare(client).await
    }

    async fn run(
        &self,
        transaction: &Transaction<'_>,
        statements: &Statements,
        batch: &[Entry],
        _: Form,
    ) -> Result<Vec<Answer>, Error> {
        let commands: Vec<&Command> = batch.iter().map(|entry| &entry.command).collect();
        let Found { now, keys, rows } = lock(transaction, statements, &commands).await?;
        let refuse = |problem: Problem| {
            // An earlier run may have made the changes.
            let is_unknown = transaction.doubt != Doubt::None;
            let problem = if is_unknown { Problem::unknown_outcome() } else { problem };
            Ok(vec![Err(problem); batch.len()])
        };
        let stored = rows.iter().map(Stored::read).collect::<Result<Vec<_>, _>>();
        let stored = match stored {
            Ok(stored) => stored,
            Err(problem) => {
                transaction.roll_back().await?;
                return refuse(problem);
            }
        };
        let present = stored.iter().map(|stored| &stored.cart);
        let late = || Problem::new(Code::Overloaded, "The prices are not known in time.");
        let priced = timeout(PRICED_WITHIN, self.shop_for(&commands, present)).await;
        let shop = match priced.unwrap_or_else(|_| Err(late())) {
            Ok(shop) => shop,
            Err(problem) => {
                transaction.roll_back().await?;
                return refuse(problem);
            }
        };
        let carts = stored.iter().map(|stored| (stored.shopper, stored.locked())).collect();
        let decisions = decide(&commands, World { carts, keys, shop });
        if decisions.changed.is_empty() && decisions.saved.is_empty() {
            transaction.roll_back().await?;
        } else {
            write(transaction, statements, &commands, &decisions, &stored, now).await?;
        }
        Ok(decisions.answers)
    }

    fn answer(&self, entry: Entry, outcome: Result<Answer, Problem>) {
        // The client may have left; its work is done all the same.
        let _ = entry.answer.send(outcome.and_then(|answer| answer));
    }
}

/// What the locks returned.
struct Found {
    now: OffsetDateTime,
    keys: HashMap<KeyId, Saved>,
    rows: Vec<Row>,
}

/// Trip 1: BEGIN, keys, carts.
async fn lock(
    transaction: &Transaction<'_>,
    statements: &Statements,
    commands: &[&Command],
) -> Result<Found, Error> {
    let (client, mark) = (transaction.client, &transaction.mark);
    let claimed = || commands.iter().filter_map(|c| c.claim.as_ref().map(|claim| (claim, c.id)));
    let Claims { scopes, keys, hashes, resources } =
        &Claims::of(claimed().map(|(claim, id)| (claim, Some(id))));
    let shoppers: BTreeSet<Uuid> = commands.iter().map(|c| c.shopper.uuid()).collect();
    let shoppers: Vec<Uuid> = shoppers.into_iter().collect();
    let take: Params<'_> = &[scopes, keys, hashes, resources, mark];
    let (make, locked): (Params<'_>, Params<'_>) = (&[&shoppers, mark], &[&shoppers]);
    let asked: Params<'_> = &[scopes, keys];
    // Sent in this order without waiting in between; every answer counts.
    let (begun, taken, made, rows, known) = tokio::join!(
        biased;
        transaction.begin(),
        client.query(&statements.take_keys, take),
        client.execute(&statements.make, make),
        client.query(&statements.lock, locked),
        client.query(&statements.known_keys, asked),
    );
    let now = begun?.now;
    let (taken, _, rows, known) = (taken?, made?, rows?, known?);
    let keys = Saved::others(claimed().map(|(claim, _)| claim), &taken, &known);
    Ok(Found { now, keys, rows })
}

/// Trip 2: the carts, the keys, COMMIT.
async fn write(
    transaction: &Transaction<'_>,
    statements: &Statements,
    commands: &[&Command],
    decisions: &Decisions,
    stored: &[Stored],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let client = transaction.client;
    let columns = Columns::of(decisions, stored, transaction, now);
    let Columns { shopper, version, items, currency, email, address, option, applied } = &columns;
    let count = i64::try_from(shopper.len()).unwrap_or(i64::MAX);
    let carts: Params<'_> =
        &[shopper, version, items, currency, email, address, option, applied, &count];
    let saved = || decisions.saved.iter();
    let scope: Vec<&str> = saved().map(|((scope, _), _)| &**scope).collect();
    let key: Vec<&str> = saved().map(|((_, key), _)| &**key).collect();
    let claim = |place: &usize| commands[*place].claim.as_ref();
    let hash: Vec<Option<&[u8]>> = saved()
        .map(|(_, (place, _))| claim(place).map(|claim| &claim.request_hash[..]))
        .collect();
    let resource: Vec<Uuid> = saved().map(|(_, (place, _))| commands[*place].id).collect();
    let status: Vec<i16> =
        saved().map(|(_, (_, reply))| reply.status.try_into().unwrap_or(i16::MAX)).collect();
    let body: Vec<&[u8]> = saved().map(|(_, (_, reply))| &*reply.body).collect();
    let saved_count = i64::try_from(key.len()).unwrap_or(i64::MAX);
    let save: Params<'_> = &[&scope, &key, &hash, &resource, &status, &body, &saved_count];
    let (dropped_scope, dropped_key): (Vec<&str>, Vec<&str>) =
        decisions.dropped.iter().map(|(scope, key)| (&**scope, &**key)).unzip();
    let drop: Params<'_> = &[&dropped_scope, &dropped_key];
    // Sent in this order without waiting in between; every answer counts.
    let (updated, saved, dropped, committed) = tokio::join!(
        biased;
        client.query(&statements.update, carts),
        client.query(&statements.save_replies, save),
        client.execute(&statements.drop_keys, drop),
        transaction.commit(),
    );
    updated?;
    saved?;
    dropped?;
    committed
}

/// A row of `carts`.
struct Stored {
    shopper: ShopperId,
    cart: Cart,
    applied: Vec<Slot>,
    is_merged: bool,
}

/// A line as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredItem {
    id: Uuid,
    variant_id: Uuid,
    quantity: i64,
}

impl From<&Item> for StoredItem {
    fn from(item: &Item) -> Self {
        let (id, variant_id) = (item.id.uuid(), item.variant.uuid());
        Self { id, variant_id, quantity: item.quantity }
    }
}

impl Stored {
    fn read(row: &Row) -> Result<Self, Problem> {
        let (shopper, cart) = read(row)?;
        let applied = serde_json::from_value(row.get(7)).map_err(Problem::internal)?;
        Ok(Self { shopper, cart, applied, is_merged: row.get(8) })
    }

    fn locked(&self) -> Locked {
        let applied = self.applied.iter().flat_map(|slot| &slot.changes).copied().collect();
        Locked { cart: self.cart.clone(), applied, is_merged: self.is_merged }
    }
}

/// Reads shopper and cart from the first seven columns of [`LOCK`].
pub fn read(row: &Row) -> Result<(ShopperId, Cart), Problem> {
    let items: Vec<StoredItem> = serde_json::from_value(row.get(2)).map_err(Problem::internal)?;
    let items = items.into_iter().map(|StoredItem { id, variant_id, quantity }| Item {
        id: id.into(),
        variant: variant_id.into(),
        quantity,
    });
    let currency: Option<&str> = row.get(3);
    let address: Option<Value> = row.get(5);
    let address: Option<Result<Address, _>> = address.map(serde_json::from_value);
    let cart = Cart {
        version: row.get(1),
        items: items.collect(),
        currency: currency.map(str::parse).transpose().map_err(Problem::internal)?,
        email: row.get(4),
        shipping_address: address.transpose().map_err(Problem::internal)?,
        shipping_option: row.get(6),
    };
    Ok((row.get::<_, Uuid>(0).into(), cart))
}

/// Changed carts, column by column, as `unnest` takes them.
#[derive(Default)]
struct Columns<'d> {
    shopper: Vec<Uuid>,
    version: Vec<i64>,
    items: Vec<String>,
    currency: Vec<Option<&'d str>>,
    email: Vec<Option<&'d str>>,
    address: Vec<Option<String>>,
    option: Vec<Option<&'d str>>,
    applied: Vec<String>,
}

impl<'d> Columns<'d> {
    fn of(
        decisions: &'d Decisions,
        stored: &[Stored],
        transaction: &Transaction<'_>,
        now: OffsetDateTime,
    ) -> Self {
        let before: HashMap<ShopperId, &[Slot]> =
            stored.iter().map(|stored| (stored.shopper, &*stored.applied)).collect();
        let mut columns = Self::default();
        for (shopper, (cart, changes)) in &decisions.changed {
            let before = before.get(shopper).copied().unwrap_or_default();
            let slot = Slot { lane: transaction.lane, at: now, changes: changes.clone() };
            let applied = slot.behind(before, transaction.doubt);
            columns.shopper.push(shopper.uuid());
            columns.version.push(cart.version);
            columns.items.push(items(cart));
            columns.currency.push(cart.currency.as_ref().map(|currency| currency.as_str()));
            columns.email.push(cart.email.as_deref());
            columns.address.push(cart.shipping_address.as_ref().map(json));
            columns.option.push(cart.shipping_option.as_deref());
            columns.applied.push(json(&applied));
        }
        columns
    }
}

/// The lines of a cart as they are stored.
fn items(cart: &Cart) -> String {
    json(&cart.items.iter().map(StoredItem::from).collect::<Vec<_>>())
}

fn json(value: &impl Serialize) -> String {
    // Serialising plain structs into memory has no way to fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// The carts of these shoppers; one that has none is left out, and nothing stands for one whose
/// cart has become a part of another.
pub async fn carts(
    postgres: &Postgres,
    shoppers: &[ShopperId],
) -> Result<HashMap<ShopperId, Option<Cart>>, Problem> {
    let shoppers: Vec<Uuid> = shoppers.iter().map(|shopper| shopper.uuid()).collect();
    let client = postgres.readers.get().await?;
    let statement = client.prepare_cached(READ).await?;
    let rows = client.query(&statement, &[&shoppers]).await?;
    let cart = |row: &Row| {
        let (shopper, cart) = read(row)?;
        let is_merged: bool = row.get(7);
        Ok((shopper, (!is_merged).then_some(cart)))
    };
    rows.iter().map(cart).collect()
}
