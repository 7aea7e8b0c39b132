//! The decisions of a batch: commands and the locked carts come in, carts and answers go out.
//!
//! Pure. Commands are decided in arrival order, each on what those before it left.

use super::body::CartBody;
use super::cart::{Cart, Shop};
use super::change::Change;
use crate::error::Problem;
use crate::id::ShopperId;
use crate::idempotency::{Claim, KeyId, Reply, Saved, in_progress, reused};
use crate::session::unauthorized;
use crate::version::IfMatch;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// A change that a shopper asks for.
#[derive(Debug, Clone)]
pub struct Command {
    /// This request, so that its own earlier run is told from another request.
    pub id: Uuid,
    /// Whose cart.
    pub shopper: ShopperId,
    /// The key, if there is one.
    pub claim: Option<Claim>,
    /// The versions that it may start from.
    pub if_match: IfMatch,
    /// What to do.
    pub change: Change,
}

/// What a command came to.
pub type Answer = Result<Reply, Problem>;

/// A cart as the lock returned it.
#[derive(Debug, Clone, Default)]
pub struct Locked {
    /// The cart.
    pub cart: Cart,
    /// The changes that were carried out most recently, of each lane.
    pub applied: Vec<Uuid>,
    /// Whether it has become a part of a customer's cart.
    pub is_merged: bool,
}

/// Everything a batch is decided on.
pub struct World {
    /// The locked carts.
    pub carts: HashMap<ShopperId, Locked>,
    /// Keys that others, or an earlier run, have taken.
    pub keys: HashMap<KeyId, Saved>,
    /// What they are priced with.
    pub shop: Shop,
}

/// What a batch writes and answers.
#[derive(Debug, Default)]
pub struct Decisions {
    /// One for each command, in their order.
    pub answers: Vec<Answer>,
    /// The carts that changed, with the changes that did it.
    pub changed: BTreeMap<ShopperId, (Cart, Vec<Uuid>)>,
    /// Keys of this batch that get their reply: the command's place and the reply.
    pub saved: BTreeMap<KeyId, (usize, Reply)>,
    /// Keys that are free again.
    pub dropped: Vec<KeyId>,
}

/// Decides a batch.
pub fn decide(commands: &[&Command], mut world: World) -> Decisions {
    let mut decisions = Decisions::default();
    for (place, command) in commands.iter().enumerate() {
        let answer = match world.known(command) {
            Some(answer) => answer,
            None => {
                let answer = world.judge(command, &mut decisions);
                world.settle_key(place, command, &answer, &mut decisions);
                answer
            }
        };
        decisions.answers.push(answer);
    }
    // A later command may have taken the key that an earlier one gave back.
    let saved = &decisions.saved;
    decisions.dropped.retain(|key| !saved.contains_key(key));
    decisions
}

impl World {
    /// The answer if the key has its effect already; our own earlier run is no replay.
    fn known(&self, command: &Command) -> Option<Answer> {
        let claim = command.claim.as_ref()?;
        let saved = self.keys.get(&claim.id())?;
        if saved.request_hash != claim.request_hash {
            return Some(Err(reused()));
        }
        let replayed = saved.resource_id != Some(command.id);
        let reply = saved.reply.clone().map(|reply| Reply { replayed, ..reply });
        Some(reply.ok_or_else(in_progress))
    }

    fn judge(&mut self, command: &Command, decisions: &mut Decisions) -> Answer {
        let locked = self.carts.entry(command.shopper).or_default();
        let cart = &locked.cart;
        // Our own earlier run, whose answer was lost.
        if !locked.applied.contains(&command.id) {
            if locked.is_merged {
                // The guest has logged in, and this instance does not know it yet.
                return Err(unauthorized());
            }
            let mut after = cart.changed(&command.change, &self.shop)?;
            command.if_match.check(cart.version)?;
            if after != *cart {
                after.version += 1;
                let changed = decisions.changed.entry(command.shopper).or_default();
                changed.0 = after.clone();
                changed.1.push(command.id);
                locked.cart = after;
            }
        }
        Ok(CartBody::new(&locked.cart, &self.shop).reply())
    }

    fn settle_key(
        &mut self,
        place: usize,
        command: &Command,
        answer: &Answer,
        decisions: &mut Decisions,
    ) {
        let Some(claim) = &command.claim else { return };
        match answer {
            Ok(reply) => {
                decisions.saved.insert(claim.id(), (place, reply.clone()));
                let saved = Saved {
                    request_hash: claim.request_hash.to_vec(),
                    resource_id: Some(command.id),
                    reply: Some(reply.clone()),
                };
                self.keys.insert(claim.id(), saved);
            }
            Err(_) => decisions.dropped.push(claim.id()),
        }
    }
}
