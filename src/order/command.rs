//! What the journal can be asked to do with orders, what it is decided on, and what it writes.

use super::order::{Facts, PaymentStatus, Placement, State};
use crate::error::Problem;
use crate::id::{OrderId, PaymentId, ShopperId};
use crate::idempotency::{Claim, KeyId, Reply, Saved};
use crate::inventory::{Cause, Level, Movement, StockKey};
use crate::payment::{Answer, Terms};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// A payment that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayment {
    /// The id.
    pub id: PaymentId,
    /// The provider's name.
    pub provider: &'static str,
    /// What the provider needs.
    pub token: Option<String>,
    /// Whether the provider must be asked.
    pub terms: Terms,
}

/// An order that exists, as its commands carry it: nothing of this ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Fixed before the commit.
    pub placement: Arc<Placement>,
    /// Fixed by the commit.
    pub facts: Facts,
}

/// What the journal can be asked to do with orders.
#[derive(Debug, Clone)]
pub enum Command {
    /// Place an order.
    Place {
        /// The key, required.
        claim: Claim,
        /// What is ordered.
        placement: Arc<Placement>,
        /// How it is paid.
        payment: NewPayment,
        /// The order's secret, for the reply.
        access_token: String,
        /// At a checkout: the version of the shopper's cart that was priced, and is emptied.
        cart_version: Option<i64>,
    },
    /// Begin another payment of an order.
    Pay {
        /// The key, if there is one.
        claim: Option<Claim>,
        /// Which order.
        order: Known,
        /// How it is paid.
        payment: NewPayment,
    },
    /// Record a provider's answer.
    Settle {
        /// The key whose reply waits for the answer.
        claim: Option<Claim>,
        /// Which order.
        order: Known,
        /// Which of its payments.
        payment: PaymentId,
        /// What the provider said.
        answer: Answer,
        /// Set if the payment came with the order: then the reply is its 201.
        access_token: Option<String>,
    },
    /// Give up an order.
    Cancel {
        /// This request, so that its own earlier run is told from another request.
        id: Uuid,
        /// The key, if there is one.
        claim: Option<Claim>,
        /// Which order.
        order: Known,
        /// Why, for the shop.
        reason: Option<String>,
    },
    /// Give up an order that was not paid in time.
    Expire {
        /// Which order.
        order: Known,
    },
}

impl Command {
    /// The key that the command takes; `Settle` has its key already.
    pub fn new_claim(&self) -> Option<&Claim> {
        match self {
            Command::Place { claim, .. } => Some(claim),
            Command::Pay { claim, .. } | Command::Cancel { claim, .. } => claim.as_ref(),
            Command::Settle { .. } | Command::Expire { .. } => None,
        }
    }

    /// The key that the command answers.
    pub fn claim(&self) -> Option<&Claim> {
        match self {
            Command::Settle { claim, .. } => claim.as_ref(),
            command => command.new_claim(),
        }
    }

    /// What the key stands for: the payment that was begun with it, the cancellation, else the
    /// order.
    pub fn resource(&self) -> Uuid {
        match self {
            Command::Pay { payment, .. } => payment.id.uuid(),
            Command::Cancel { id, .. } => *id,
            Command::Settle { payment, access_token: None, .. } => payment.uuid(),
            command => command.placement().id.uuid(),
        }
    }

    /// The cart that the order empties: its shopper, and the version that was priced.
    pub fn cart(&self) -> Option<(ShopperId, i64)> {
        match self {
            Command::Place { placement, cart_version, .. } => {
                placement.shopper.zip(*cart_version)
            }
            _ => None,
        }
    }

    /// The order's fixed part.
    pub fn placement(&self) -> &Arc<Placement> {
        match self {
            Command::Place { placement, .. } => placement,
            Command::Pay { order, .. }
            | Command::Settle { order, .. }
            | Command::Cancel { order, .. }
            | Command::Expire { order } => &order.placement,
        }
    }
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// This is the answer.
    Answered(Reply),
    /// Durable; now the provider must be asked.
    Charge(Known),
    /// Durable since an earlier run whose answer was lost; the provider must be asked.
    Resume,
    /// Not enough; what is available for each line.
    SoldOut(Vec<i64>),
    /// A line's price is from an older offer.
    OfferChanged,
    /// The cart is not the one that was priced.
    CartChanged,
    /// Refused.
    Refused(Problem),
    /// Nothing was to be done.
    Nothing,
}

impl Outcome {
    /// Whether nothing was done, so that whoever asked may be told so.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Answered(_) | Self::Charge(_) | Self::Resume)
    }
}

/// A stock row as the lock returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locked {
    /// Its counts.
    pub level: Level,
    /// Its offer's version.
    pub offer_version: i64,
}

/// Everything a batch is decided on.
pub struct World {
    /// PostgreSQL's clock.
    pub now: OffsetDateTime,
    /// The number of the first order that is placed; the others follow.
    pub next_number: i64,
    /// Keys that others, or an earlier run, have taken.
    pub keys: HashMap<KeyId, Saved>,
    /// Keys that commands of this batch have taken.
    pub taken: HashSet<KeyId>,
    /// The versions of locked carts.
    pub carts: HashMap<ShopperId, i64>,
    /// Locked stock rows; one that does not exist has nothing.
    pub stock: HashMap<StockKey, Locked>,
    /// Locked orders; one that is missing is locked by somebody else (only for `Expire`).
    pub orders: HashMap<OrderId, State>,
    /// The times that count.
    pub periods: Periods,
}

impl World {
    /// What the optimistic form presumes: keys are new, carts and offers are those that were
    /// priced, there is plenty.
    pub fn presumed(
        commands: &[&Command],
        now: OffsetDateTime,
        next_number: i64,
        periods: Periods,
    ) -> Self {
        let level = Level { available: i64::MAX / 4, held: 0, sold: 0 };
        let lines = commands.iter().flat_map(|command| &command.placement().lines);
        let stock = lines
            .map(|line| (line.stock, Locked { level, offer_version: line.offer_version }))
            .collect();
        let carts = commands.iter().filter_map(|command| command.cart()).collect();
        let (keys, taken, orders) = (HashMap::new(), HashSet::new(), HashMap::new());
        Self { now, next_number, keys, taken, carts, stock, orders, periods }
    }
}

/// How long orders wait.
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    /// An unpaid order is held for this long.
    pub pay_within: Duration,
    /// A payment without an answer keeps its order for this long beyond.
    pub processing_max: Duration,
}

/// What becomes of an order's row.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderWrite {
    /// A new one.
    Insert(State),
    /// Another state.
    Update(State, Option<String>),
}

/// What becomes of a payment's row.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentWrite {
    /// A new one.
    Insert(NewPayment, PaymentStatus),
    /// Another status.
    Update(PaymentId, PaymentStatus),
}

/// What becomes of the command's key.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyWrite {
    /// The reply is saved.
    Save(Reply),
    /// It waits for the provider's answer.
    Wait,
    /// Refused, so the key is free again.
    Drop,
}

/// What a decided command writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// The order's row.
    pub order: OrderWrite,
    /// The commit's part of the order.
    pub facts: Facts,
    /// The cart that is emptied, by its shopper, and the version that it had.
    pub cart: Option<(ShopperId, i64)>,
    /// The payment's row.
    pub payment: Option<PaymentWrite>,
    /// How the units of all its lines move.
    pub movement: Option<(Movement, Cause)>,
    /// The event for the outbox.
    pub event: &'static str,
}

/// How one stock row moves.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// Which.
    pub stock: StockKey,
    /// What is added to its counts.
    pub delta: Level,
    /// Why.
    pub cause: Cause,
    /// The version that its offer must have, if it matters.
    pub offer_version: Option<i64>,
}

impl Write {
    /// How the stock rows of the order's lines move. Prices are judged when an order is placed, and
    /// never again: what becomes of it later has nothing to do with the offers of that time.
    pub fn moves(&self, placement: &Placement) -> impl Iterator<Item = Move> {
        let is_sold_now = matches!(self.order, OrderWrite::Insert(_));
        self.movement.into_iter().flat_map(move |(movement, cause)| {
            placement.lines.iter().map(move |line| Move {
                stock: line.stock,
                delta: movement.delta(line.quantity),
                cause,
                offer_version: is_sold_now.then_some(line.offer_version),
            })
        })
    }
}
