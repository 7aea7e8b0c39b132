//! What an instance does: lanes run batches, providers are asked, the reaper goes round.

use crate::client::Told;
use crate::fault::Fault;
use crate::plant::Plant;
use crate::shop::Shop;
use doorbuster::error::Code;
use doorbuster::id::PaymentId;
use doorbuster::idempotency::Claim;
use doorbuster::journal::{Attempt, Form, Next};
use doorbuster::order::{Command, Known, Outcome, Status};
use doorbuster::payment::Answer;
use doorbuster::postgres::Class;
use rand::Rng;
use std::collections::VecDeque;
use std::time::Duration;

const LANES: usize = 2;
const BATCH_MAX: usize = 4;
const ATTEMPTS_MAX: u32 = 3;
/// A payment without an answer is asked about after so many seconds.
const RESOLVE_AFTER: Duration = Duration::from_secs(5);

/// Who waits for an outcome: a client's request, or nobody.
pub type Asker = Option<(usize, u64)>;

/// A command on its way.
#[derive(Clone)]
pub struct Entry {
    pub command: Command,
    pub asker: Asker,
    pub is_poison: bool,
}

/// A provider that is to be asked, and what to record then.
pub struct Charge {
    pub order: Known,
    pub payment: PaymentId,
    pub claim: Option<Claim>,
    pub access_token: Option<String>,
    pub asker: Asker,
    /// Somebody has asked before; it is asked what became of it.
    pub is_resolved: bool,
}

/// An instance.
#[derive(Default)]
pub struct Instance {
    pub is_up: bool,
    pub queue: VecDeque<Entry>,
    pub lanes: [Vec<Attempt<Entry>>; LANES],
    pub charges: Vec<Charge>,
}

impl Shop {
    /// A lane of the instance takes a batch, or runs one.
    pub fn work(&mut self, at: usize) {
        let lane = self.dice.random_range(0..LANES);
        if !self.instances[at].is_up {
            return;
        }
        if self.instances[at].lanes[lane].is_empty() {
            let size = self.dice.random_range(1..=BATCH_MAX);
            let queue = &mut self.instances[at].queue;
            let batch: Vec<Entry> = queue.drain(..size.min(queue.len())).collect();
            let is_new = |entry: &Entry| matches!(entry.command, Command::Place { .. });
            let form = match batch.iter().all(is_new) && self.dice.random() {
                true => Form::Optimistic,
                false => Form::Exact,
            };
            self.instances[at].lanes[lane].push(Attempt::new(batch, form));
        }
        let Some(mut attempt) = self.instances[at].lanes[lane].pop() else { return };
        if attempt.runs > 0 && self.happens(Fault::Deadline, 0.05) && !attempt.batch.is_empty() {
            let late = attempt.batch.remove(0);
            self.tell(late.asker, Told::ComeAgain);
        }
        if attempt.batch.is_empty() {
            return;
        }
        attempt.runs += 1;
        let ran = self.run(&attempt);
        match ran {
            Ok(outcomes) => {
                for (entry, outcome) in attempt.batch.into_iter().zip(outcomes) {
                    self.hear(at, entry, outcome);
                }
            }
            Err(class) => self.go_on(at, lane, attempt, class),
        }
    }

    /// One run of a batch, which may fail in any way.
    fn run(&mut self, attempt: &Attempt<Entry>) -> Result<Vec<Outcome>, Class> {
        if attempt.batch.iter().any(|entry| entry.is_poison) {
            return Err(Class::Culprit);
        }
        if self.happens(Fault::Deadlock, 0.02) {
            return Err(Class::Retry);
        }
        let commands: Vec<Command> =
            attempt.batch.iter().map(|entry| entry.command.clone()).collect();
        let transaction = self.database.run(&mut self.dice, commands.clone(), attempt.form);
        if self.happens(Fault::LostCommit, 0.03) {
            self.count("commits that did not arrive");
            return Err(Class::Lost);
        }
        if self.happens(Fault::Doubt, 0.04) {
            self.count("commits in doubt");
            if self.plant == Some(Plant::AnswerBeforeCommit) {
                let same = self.database.run(&mut self.dice, commands, attempt.form);
                self.database.leave_in_doubt(transaction);
                return Ok(same.decisions().into_iter().map(|d| d.outcome).collect());
            }
            self.database.leave_in_doubt(transaction);
            return Err(Class::Lost);
        }
        let decisions = self.database.commit(transaction)?;
        self.count(attempt.form.as_str());
        Ok(decisions.into_iter().map(|decision| decision.outcome).collect())
    }

    /// As the journal's state machine says.
    fn go_on(&mut self, at: usize, lane: usize, attempt: Attempt<Entry>, class: Class) {
        if class == Class::Lost && self.plant == Some(Plant::LostIsFailed) {
            attempt.batch.into_iter().for_each(|entry| self.tell(entry.asker, Told::Refused));
            return;
        }
        let mut next = attempt.after(class, ATTEMPTS_MAX);
        if next.len() > 1 {
            self.count("halved");
            if self.plant == Some(Plant::LoseAHalf) {
                next.remove(0);
            }
        }
        for next in next {
            match next {
                Next::Again(attempt) | Next::Reconnect(attempt) => {
                    self.instances[at].lanes[lane].push(attempt);
                }
                Next::Refuse(entry) if class == Class::Culprit => {
                    self.tell(entry.asker, Told::Refused);
                }
                Next::Refuse(entry) => self.tell(entry.asker, Told::ComeAgain),
            }
        }
    }

    /// What an instance does with an outcome.
    fn hear(&mut self, at: usize, entry: Entry, outcome: Outcome) {
        let Entry { command, asker, .. } = entry;
        let told = match outcome {
            Outcome::Answered(reply) => Told::Reply(reply),
            Outcome::Charge(order) => return self.will_charge(at, command, order, asker),
            Outcome::Resume => {
                let row = self.database.orders.get(&command.placement().id);
                match row.map(|row| row.known.clone()) {
                    Some(order) => return self.will_charge(at, command, order, asker),
                    None => Told::ComeAgain,
                }
            }
            Outcome::SoldOut(_) => {
                self.count("sold out");
                Told::Refused
            }
            Outcome::Refused(problem) => match problem.code {
                Code::RequestInProgress | Code::Overloaded => Told::ComeAgain,
                Code::Internal => {
                    self.database.find(problem.to_string());
                    Told::ComeAgain
                }
                _ => Told::Refused,
            },
            // The offers are forgotten, and it is priced anew.
            Outcome::OfferChanged => {
                self.count("priced anew");
                self.database.stale = self.database.stock.clone();
                Told::ComeAgain
            }
            Outcome::CartChanged | Outcome::Nothing => Told::ComeAgain,
        };
        self.tell(asker, told);
    }

    fn will_charge(&mut self, at: usize, command: Command, order: Known, asker: Asker) {
        let (payment, access_token) = match &command {
            Command::Place { payment, access_token, .. } => {
                (payment.id, Some(access_token.clone()))
            }
            Command::Pay { payment, .. } => (payment.id, None),
            _ => return self.tell(asker, Told::ComeAgain),
        };
        let claim = command.claim().cloned();
        let charge = Charge { order, payment, claim, access_token, asker, is_resolved: false };
        self.instances[at].charges.push(charge);
    }

    /// The instance asks a provider, and will record what it says.
    pub fn charge(&mut self, at: usize) {
        let Some(charge) = self.instances[at].charges.pop() else { return };
        let order = charge.order.placement.id;
        let asked = match self.plant == Some(Plant::ChargeAnew) && charge.is_resolved {
            true => PaymentId::from(self.id()),
            false => charge.payment,
        };
        let mut answer = self.provider.ask(&mut self.dice, order, asked);
        if !charge.is_resolved && self.happens(Fault::Provider, 0.15) {
            self.count("payments without an answer");
            answer = Answer::Unknown;
        }
        if self.plant == Some(Plant::ForgetSettlements) && answer == Answer::Declined {
            return self.tell(charge.asker, Told::ComeAgain);
        }
        let Charge { order, payment, claim, access_token, asker, .. } = charge;
        let command = Command::Settle { claim, order, payment, answer, access_token };
        self.instances[at].queue.push_back(Entry { command, asker, is_poison: false });
    }

    /// The reaper of an instance: what was not paid in time, and what has no answer.
    pub fn reap(&mut self, at: usize) {
        if !self.instances[at].is_up {
            return;
        }
        let now = self.database.now;
        let is_over = |known: &Known| known.facts.pay_by.is_some_and(|pay_by| pay_by < now);
        let orders = self.database.orders.values();
        let unpaid = orders.filter(|row| row.state.status == Status::PendingPayment);
        let over: Vec<Known> = unpaid
            .filter(|row| is_over(&row.known))
            .map(|row| row.known.clone())
            .take(3)
            .collect();
        for order in over {
            let command = Command::Expire { order };
            let entry = Entry { command, asker: None, is_poison: false };
            self.instances[at].queue.push_back(entry);
        }
        if self.plant == Some(Plant::NoReaper) {
            return;
        }
        let unsettled = self.database.unsettled.values_mut();
        let Some(found) = unsettled.into_iter().find(|one| one.asked_at + RESOLVE_AFTER <= now)
        else {
            return;
        };
        found.asked_at = now;
        let found = found.clone();
        let key = found.key.filter(|_| self.plant != Some(Plant::ResolveWithoutKey));
        let claim = key.map(|(scope, key)| Claim { scope, key, request_hash: [0; 32] });
        let order = self.database.orders[&found.order].known.clone();
        self.count("payments resolved");
        self.instances[at].charges.push(Charge {
            order,
            payment: found.payment,
            claim,
            access_token: found.is_first.then(|| "secret".to_owned()),
            asker: None,
            is_resolved: true,
        });
    }

    /// SIGKILL: what was on its way is in doubt, and nobody is told anything.
    pub fn kill(&mut self, at: usize) {
        self.count("kills");
        let killed = std::mem::take(&mut self.instances[at]);
        for lane in killed.lanes {
            if let Some(attempt) = lane.last().filter(|attempt| !attempt.batch.is_empty())
                && !attempt.batch.iter().any(|entry| entry.is_poison)
                && self.dice.random()
            {
                let commands = attempt.batch.iter().map(|entry| entry.command.clone());
                let transaction =
                    self.database.run(&mut self.dice, commands.collect(), attempt.form);
                self.database.leave_in_doubt(transaction);
            }
        }
        for client in &mut self.clients {
            if client.waits_for == Some(at) {
                client.leaves();
            }
        }
    }
}
