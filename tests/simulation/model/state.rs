//! A state of the model, and what a run of a batch makes of it.

use super::{CLIENTS, INSTANCES, order_claim};
use crate::database::Database;
use crate::plant::Plant;
use crate::provider::Provider;
use doorbuster::id::PaymentId;
use doorbuster::idempotency::Reply;
use doorbuster::journal::{Attempt, BEGINS_WITHIN, Doubt, Form, Next};
use doorbuster::order::{Command, Due, Known, Outcome, Status, Step};
use doorbuster::postgres::Class;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

#[derive(Debug, Clone)]
pub struct Entry {
    pub command: Command,
    pub asker: Option<(usize, u8)>,
}

#[derive(Debug, Clone)]
pub struct Charge {
    pub due: Due,
    pub asker: Option<(usize, u8)>,
}

#[derive(Debug, Clone, Default)]
pub struct Instance {
    pub queue: VecDeque<Entry>,
    /// A batch of one that runs again.
    pub open: Option<Attempt<Entry>>,
    pub charges: Vec<Charge>,
}

#[derive(Debug, Clone, Default)]
pub struct Client {
    pub requests: u8,
    pub waits_for: Option<usize>,
    pub reply: Option<Reply>,
    pub is_refused: bool,
}

#[derive(Debug, Clone)]
pub struct State {
    pub database: Database,
    pub provider: Provider,
    pub instances: [Instance; INSTANCES],
    pub clients: [Client; CLIENTS],
    pub faults: u8,
    pub is_late: bool,
    pub is_restocked: bool,
}

/// How a run of a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Committed,
    NeverArrived,
    InDoubt,
    /// It was sent at once, and has not arrived.
    Behind,
}

impl State {
    /// The next batch of an instance, if it can run now.
    pub fn next(&self, at: usize) -> Option<Attempt<Entry>> {
        let Instance { queue, open, .. } = &self.instances[at];
        let new = || Some(Attempt::new(vec![queue.front()?.clone()], Form::Optimistic));
        let attempt = open.clone().or_else(new)?;
        let commands: Vec<Command> = attempt.batch.iter().map(|e| e.command.clone()).collect();
        (!self.database.is_held(&commands)).then_some(attempt)
    }

    /// Whether nobody waits, and nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        let is_idle =
            |one: &Instance| one.queue.is_empty() && one.open.is_none() && one.charges.is_empty();
        let waits = |client: &Client| client.waits_for.is_some();
        self.instances.iter().all(is_idle) && !self.clients.iter().any(waits)
    }

    pub fn is_asked_after(&self, payment: PaymentId) -> bool {
        self.instances.iter().any(|instance| {
            let settles = |entry: &Entry| {
                matches!(&entry.command, Command::Settle { payment: of, .. } if *of == payment)
            };
            let open = instance.open.iter().flat_map(|attempt| &attempt.batch);
            instance.charges.iter().any(|charge| charge.due.payment == payment)
                || instance.queue.iter().chain(open).any(settles)
        })
    }

    fn tell(&mut self, asker: Option<(usize, u8)>, told: Result<Reply, bool>) {
        let Some((at, request)) = asker else { return };
        let client = &mut self.clients[at];
        if client.requests != request || client.waits_for.take().is_none() {
            return;
        }
        match told {
            Ok(reply) => {
                let claim = order_claim(at);
                let made =
                    self.database.effect(&claim).map(|order| format!("/v1/orders/{order}"));
                if made.is_none() || reply.location != made {
                    self.database
                        .find(format!("client {at} is told {reply:?}, made is {made:?}"));
                }
                let before = client.reply.get_or_insert_with(|| reply.clone());
                if before.body != reply.body {
                    self.database.find(format!("client {at} is told two things"));
                }
            }
            Err(true) if client.reply.is_some() => {
                self.database.find(format!("client {at} is refused what it was told it has"));
            }
            Err(is_final) => client.is_refused |= is_final,
        }
    }

    fn hear(&mut self, at: usize, entry: Entry, outcome: Outcome) {
        let Entry { command, asker } = entry;
        let due = match command.step(outcome) {
            Step::Answer(Ok(reply)) => return self.tell(asker, Ok(reply)),
            Step::Charge(due) => Some(*due),
            Step::Resume => {
                let row = self.database.orders.get(&command.placement().id);
                row.and_then(|row| Due::of(&command, row.known.clone()))
            }
            Step::SoldOut(_) => return self.tell(asker, Err(true)),
            _ => None,
        };
        match due {
            Some(due) => self.instances[at].charges.push(Charge { due, asker }),
            None => self.tell(asker, Err(false)),
        }
    }

    /// One run of a batch; false if it has to wait until what was lost can begin no more.
    pub fn run(&mut self, at: usize, mut attempt: Attempt<Entry>, end: End) -> bool {
        let commands: Vec<Command> = attempt.batch.iter().map(|e| e.command.clone()).collect();
        let transaction = self.database.decide(commands, attempt.form);
        let refuses = transaction.outcomes().any(Outcome::is_refusal);
        let wait = attempt.doubt.wait(self.database.now, refuses);
        if wait.is_some() && self.database.plant != Some(Plant::RefuseInDoubt) {
            return false;
        }
        let instance = &mut self.instances[at];
        if instance.open.take().is_none() {
            instance.queue.pop_front();
        }
        attempt.runs += 1;
        attempt.leaves = match attempt.form {
            Form::Optimistic => Doubt::Until(self.database.now + BEGINS_WITHIN),
            Form::Exact => Doubt::Lost,
        };
        let ran = match end {
            End::Committed => self.database.commit(transaction),
            End::NeverArrived => Err(Class::Lost),
            End::InDoubt => {
                self.database.leave_in_doubt(transaction);
                Err(Class::Lost)
            }
            End::Behind => {
                self.database.leave_behind(transaction);
                Err(Class::Lost)
            }
        };
        match ran {
            Ok(decisions) => {
                for (entry, decision) in attempt.batch.into_iter().zip(decisions) {
                    self.hear(at, entry, decision.outcome);
                }
            }
            Err(class) => {
                for next in attempt.after(class, 3) {
                    match next {
                        Next::Again(attempt)
                        | Next::Later(attempt)
                        | Next::Reconnect(attempt) => {
                            self.instances[at].open = Some(attempt);
                        }
                        Next::Refuse(entry) | Next::Unknown(entry) => {
                            self.tell(entry.asker, Err(false));
                        }
                    }
                }
            }
        }
        true
    }

    /// Orders that may expire, and are not on their way to it.
    pub fn candidates(&self) -> impl Iterator<Item = Known> {
        let expires = |entry: &Entry| matches!(entry.command, Command::Expire { .. });
        let is_on_its_way = self.instances.iter().any(|instance| {
            let open = instance.open.iter().flat_map(|attempt| &attempt.batch);
            instance.queue.iter().chain(open).any(expires)
        });
        let rows = self.database.orders.values().filter(move |_| !is_on_its_way);
        rows.filter(|row| row.state.status == Status::PendingPayment).map(|row| row.known.clone())
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        format!("{self:?}").hash(hasher);
    }
}
