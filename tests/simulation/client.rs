//! A client: buys under one key, comes again until it is told, and may change its mind.

use crate::database::{Basket, Database};
use doorbuster::error::{Code, Problem};
use doorbuster::id::{OrderId, ShopperId};
use doorbuster::idempotency::{Claim, Reply};
use doorbuster::inventory::StockKey;
use doorbuster::order::Answered;
use doorbuster::payment::Terms;
use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

/// What it wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// An order.
    Buy,
    /// The same answer once more.
    AskAgain,
    /// To pay the order.
    Pay,
    /// To give it up.
    Cancel,
    /// Nothing.
    Done,
}

/// What it makes of an answer.
enum Told {
    /// Yes.
    Reply(Reply),
    /// No.
    Refused,
    /// Nobody knows, or nobody had time.
    ComeAgain,
}

impl From<Answered> for Told {
    fn from(answered: Answered) -> Self {
        use Code::{Overloaded, RequestInProgress, StorageUnavailable};
        match answered {
            Ok(reply) => Self::Reply(reply),
            Err(problem) => match problem.code {
                RequestInProgress | Overloaded | StorageUnavailable => Self::ComeAgain,
                _ => Self::Refused,
            },
        }
    }
}

/// Whether it says that nothing was begun.
fn was_turned_away(problem: &Problem) -> bool {
    use Code::{Internal, Overloaded, StorageUnavailable};
    let is_failure = matches!(problem.code, Internal | Overloaded | StorageUnavailable);
    is_failure && *problem != Problem::unknown_outcome()
}

/// What every client means by its keys.
pub const REQUEST: [u8; 32] = [1; 32];
/// What else somebody may send with them.
pub const ANOTHER_REQUEST: [u8; 32] = [2; 32];

/// The claim of a request.
pub fn claim(key: String, request_hash: [u8; 32]) -> Claim {
    Claim { scope: "s".into(), key: key.into(), request_hash }
}

/// A client, and what it knows.
pub struct Client {
    /// Makes its keys.
    pub number: u64,
    /// What it wants next.
    pub stage: Stage,
    /// The instance that it waits for.
    pub waits_for: Option<usize>,
    /// The number of its request; answers to earlier ones are not heard.
    pub turn: u64,
    /// What it buys.
    pub basket: Basket,
    /// Whether that is in a cart, and whose.
    pub shopper: Option<ShopperId>,
    /// How it pays with its order, and how later.
    pub terms: [Terms; 2],
    /// Whether it sends a key where none is required.
    pub has_keys: bool,
    /// What it sends cannot be stored.
    pub is_poison: bool,
    /// The acknowledged order.
    pub order: Option<OrderId>,
    reply: Option<Reply>,
    later: Option<Reply>,
    attempts: u32,
}

impl Client {
    /// Somebody new.
    pub fn new(dice: &mut StdRng, id: Uuid, rows: &[StockKey], may_poison: bool) -> Self {
        let first = dice.random_range(0..rows.len());
        let mut basket = vec![(rows[first], dice.random_range(1..4))];
        if dice.random_bool(0.3) {
            basket.push((rows[(first + 1) % rows.len()], 1));
        }
        let terms = [0.6, 0.8].map(|charges| match dice.random_bool(charges) {
            true => Terms::Charge,
            false => Terms::Invoice,
        });
        let has_keys = dice.random_bool(0.8);
        let is_poison = dice.random_bool(0.03) && may_poison;
        let shopper = dice.random_bool(0.4).then(|| ShopperId::from(id));
        Self {
            number: id.as_u128() as u64,
            stage: Stage::Buy,
            waits_for: None,
            turn: 0,
            basket,
            shopper,
            terms,
            has_keys,
            is_poison,
            order: None,
            reply: None,
            later: None,
            attempts: 0,
        }
    }

    /// The key of what it wants.
    pub fn claim(&self) -> Claim {
        let what = match self.stage {
            Stage::Buy | Stage::AskAgain => return self.order_claim(),
            Stage::Pay => "payment",
            Stage::Cancel | Stage::Done => "cancellation",
        };
        claim(format!("{what}-{}", self.number), REQUEST)
    }

    /// The key of its order.
    pub fn order_claim(&self) -> Claim {
        claim(format!("order-{}", self.number), REQUEST)
    }

    /// It has sent a request of that number.
    pub fn asks(&mut self, instance: usize, turn: u64) {
        (self.waits_for, self.turn) = (Some(instance), turn);
        self.attempts += 1;
    }

    /// It waits no longer.
    pub fn leaves(&mut self) {
        self.waits_for = None;
    }

    /// What it is told changes what it wants; an error if it cannot be true.
    pub fn hears(
        &mut self,
        answered: Answered,
        dice: &mut StdRng,
        database: &Database,
    ) -> Result<(), String> {
        self.waits_for = None;
        if let Err(problem) = &answered
            && self.attempts == 1
            && was_turned_away(problem)
            && let Some(made) = database.effect(&self.order_claim())
        {
            return Err(format!("{made} was made, and its buyer is told {problem}"));
        }
        let buys = matches!(self.stage, Stage::Buy | Stage::AskAgain);
        match Told::from(answered) {
            Told::ComeAgain => {}
            Told::Reply(reply) if buys => {
                self.compare(&reply, database)?;
                self.stage = match dice.random_range(0..10) {
                    0 | 1 => Stage::AskAgain,
                    2 => Stage::Pay,
                    3 | 4 => Stage::Cancel,
                    _ => Stage::Done,
                };
            }
            Told::Refused if self.order.is_some() && buys => {
                return Err(format!("{} was acknowledged, and is refused now", self.number));
            }
            // Once more under its key, to be told the same.
            Told::Reply(reply) if self.has_keys && self.later.is_none() && dice.random() => {
                self.later = Some(reply);
            }
            Told::Reply(reply) => {
                if self.later.take().is_some_and(|before| before.body != reply.body) {
                    return Err(format!("{:?} is told two things", self.claim()));
                }
                self.stage = Stage::Done;
            }
            Told::Refused if self.later.is_some() => {
                return Err(format!("{:?} was done, and is refused now", self.claim()));
            }
            Told::Refused => self.stage = Stage::Done,
        }
        Ok(())
    }

    /// An acknowledgement is of an order that is there, and always the same.
    fn compare(&mut self, reply: &Reply, database: &Database) -> Result<(), String> {
        let Some(made) = database.effect(&self.order_claim()) else {
            return Err(format!("{} is acknowledged, and there is no order", self.number));
        };
        if reply.status != 201 || reply.location != Some(format!("/v1/orders/{made}")) {
            return Err(format!("{} made {made}, and is told {reply:?}", self.number));
        }
        match &self.reply {
            Some(before) if before.body != reply.body => {
                let [before, now] =
                    [&before.body, &reply.body].map(|b| String::from_utf8_lossy(b));
                return Err(format!("{} is told {before} and then {now}", self.number));
            }
            _ => {}
        }
        (self.order, self.reply) = (Some(made), Some(reply.clone()));
        Ok(())
    }

    /// Whether it was refused the only time that it has asked: then nothing may be there.
    pub fn was_refused_for_good(&self) -> bool {
        self.stage == Stage::Done && self.order.is_none() && self.attempts == 1
    }
}
