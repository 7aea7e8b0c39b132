//! What an instance does: lanes run batches, providers are asked, the reaper goes round.

use crate::fault::Fault;
use crate::plant::Plant;
use crate::shelf::{Shelf, not_enough};
use crate::shop::{SECRET, Shop};
use doorbuster::error::{Code, Problem};
use doorbuster::id::PaymentId;
use doorbuster::idempotency::in_progress;
use doorbuster::inventory::StockKey;
use doorbuster::journal::{Attempt, BEGINS_WITHIN, Doubt, Form, Next, refused};
use doorbuster::order::{Answered, Command, Due, InFlight, Known, Outcome, Status, Step};
use doorbuster::payment::Answer;
use doorbuster::postgres::Class;
use rand::Rng;
use std::collections::VecDeque;
use std::time::Duration;
use time::OffsetDateTime;

const LANES: usize = 2;
const BATCH_MAX: usize = 4;
const ATTEMPTS_MAX: u32 = 3;
/// A payment without an answer is asked about after so many seconds.
const RESOLVE_AFTER: Duration = Duration::from_secs(1);

/// Whoever waits for another instance's answer does so for this long.
const DUPLICATE_WAIT: Duration = Duration::from_secs(5);

/// Who waits for an outcome: a client's request, or nobody.
pub type Asker = Option<(usize, u64)>;

/// A command on its way.
#[derive(Clone)]
pub struct Entry {
    pub command: Command,
    pub asker: Asker,
    pub is_poison: bool,
}

/// A provider that is to be asked.
pub struct Charge {
    pub due: Due,
    pub asker: Asker,
    /// Somebody has asked before; it is asked what became of it.
    pub is_resolved: bool,
}

/// A request whose key is in use elsewhere.
pub struct Waiting {
    entry: Entry,
    until: OffsetDateTime,
    /// What it is told when the key is free; else it is judged anew.
    problem: Option<Problem>,
}

/// An instance.
#[derive(Default)]
pub struct Instance {
    pub is_up: bool,
    pub queue: VecDeque<Entry>,
    pub lanes: [Vec<Attempt<Entry>>; LANES],
    pub charges: Vec<Charge>,
    pub waiting: Vec<Waiting>,
    pub in_flight: InFlight<Entry>,
    pub shelf: Shelf,
    /// Requests up to this one the actor does not know any more.
    pub forgotten: u64,
}

impl Shop {
    /// A request arrives; a duplicate waits for the first one's answer.
    pub fn enter(&mut self, at: usize, entry: Entry) {
        let instance = &mut self.instances[at];
        let first = match entry.command.new_claim().cloned() {
            Some(claim) => instance.in_flight.enter(&claim, entry),
            None => Some(entry),
        };
        match first {
            Some(entry) => self.begin(at, entry),
            None => self.count("duplicates in flight"),
        }
    }

    /// A request has its answer, and with it those who have waited for the same.
    fn answer(&mut self, at: usize, command: &Command, asker: Asker, answered: Answered) {
        if let (Some(claim), Some((_, turn))) = (command.claim(), asker)
            && turn > self.instances[at].forgotten
        {
            for (other, told) in self.instances[at].in_flight.leave(claim, &answered) {
                match told {
                    Some(told) => {
                        self.database.judge_duplicate(&other.command, &told);
                        self.tell(other.asker, told);
                    }
                    None => self.enter(at, other),
                }
            }
        }
        self.tell(asker, answered);
    }

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
            self.answer(at, &late.command, late.asker, Err(Problem::unknown_outcome()));
        }
        if attempt.batch.is_empty() {
            return;
        }
        attempt.runs += 1;
        let ran = self.run(&mut attempt);
        match ran {
            // It waits until what was lost can begin no more.
            Ok(outcomes) if outcomes.is_empty() => self.instances[at].lanes[lane].push(attempt),
            Ok(outcomes) => {
                let placements = attempt.batch.iter().map(|entry| entry.command.placement());
                let lines = placements.flat_map(|placement| &placement.lines);
                let keys: Vec<StockKey> = lines.map(|line| line.stock).collect();
                self.find_counts(at, keys);
                for (entry, outcome) in attempt.batch.into_iter().zip(outcomes) {
                    self.hear(at, entry, outcome);
                }
            }
            Err(class) => self.go_on(at, lane, attempt, class),
        }
    }

    /// One run of a batch, which may fail in any way; without outcomes if it has to wait.
    fn run(&mut self, attempt: &mut Attempt<Entry>) -> Result<Vec<Outcome>, Class> {
        if attempt.batch.iter().any(|entry| entry.is_poison) {
            return Err(Class::Culprit);
        }
        if self.happens(Fault::Deadlock, 0.06) {
            return Err(Class::Retry);
        }
        if self.happens(Fault::Lock, 0.03) {
            self.count("locks that others kept");
            return Err(Class::Held);
        }
        let commands: Vec<Command> =
            attempt.batch.iter().map(|entry| entry.command.clone()).collect();
        let transaction = self.database.run(&mut self.dice, commands.clone(), attempt.form);
        attempt.leaves = match attempt.form {
            Form::Optimistic => Doubt::Until(self.database.now + BEGINS_WITHIN),
            Form::Exact => Doubt::Lost,
        };
        let refuses = transaction.outcomes().any(Outcome::is_refusal);
        let wait = attempt.doubt.wait(self.database.now, refuses);
        if wait.is_some() && self.plant != Some(Plant::RefuseInDoubt) {
            self.count("refusals that wait");
            return Ok(Vec::new());
        }
        if self.happens(Fault::LostCommit, 0.03) {
            self.count("commits that did not arrive");
            return Err(Class::Lost);
        }
        if self.happens(Fault::Doubt, 0.04) {
            self.count("commits in doubt");
            if self.plant == Some(Plant::AnswerBeforeCommit) {
                let same = self.database.run(&mut self.dice, commands, attempt.form);
                self.database.leave_in_doubt(transaction);
                return Ok(same.outcomes().cloned().collect());
            }
            match self.dice.random() {
                true => self.database.leave_behind(transaction),
                false => self.database.leave_in_doubt(transaction),
            }
            return Err(Class::Lost);
        }
        let decisions = self.database.commit(transaction)?;
        self.count(attempt.form.as_str());
        Ok(decisions.into_iter().map(|decision| decision.outcome).collect())
    }

    /// As the journal's state machine says.
    fn go_on(&mut self, at: usize, lane: usize, attempt: Attempt<Entry>, class: Class) {
        if class == Class::Lost && self.plant == Some(Plant::LostIsFailed) {
            for Entry { command, asker, .. } in attempt.batch {
                self.answer(at, &command, asker, Err(Problem::internal("it was lost")));
            }
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
                Next::Later(attempt) => self.instances[at].lanes[lane].insert(0, attempt),
                Next::Refuse(Entry { command, asker, is_poison }) => {
                    if class == Class::Culprit && !is_poison {
                        self.database.find(format!("{command:?} was refused for another's"));
                    }
                    let told = command.told_after_failure(refused(class, "it failed"));
                    self.answer(at, &command, asker, Err(told));
                }
                Next::Unknown(Entry { command, asker, .. }) => {
                    self.answer(at, &command, asker, Err(Problem::unknown_outcome()));
                }
            }
        }
    }

    /// What an instance does with an outcome.
    fn hear(&mut self, at: usize, entry: Entry, outcome: Outcome) {
        let Entry { command, asker, .. } = &entry;
        let answered = match command.step(outcome) {
            Step::Answer(answered) => answered,
            Step::Charge(due) => return self.will_charge(at, *due, *asker),
            Step::Resume => {
                let row = self.database.orders.get(&command.placement().id);
                match row.and_then(|row| Due::of(command, row.known.clone())) {
                    Some(due) => return self.will_charge(at, due, *asker),
                    None => Err(Problem::unknown_outcome()),
                }
            }
            Step::SoldOut(_) => {
                self.count("sold out");
                Err(not_enough())
            }
            Step::PriceAgain => {
                self.count("priced again");
                self.database.stale = self.database.stock.clone();
                return self.begin(at, entry);
            }
            Step::ReadAgain => {
                self.count("carts read again");
                return self.begin(at, entry);
            }
            Step::Wait(_) => return self.wait(at, entry, None),
        };
        if let Err(problem) = &answered
            && problem.code == Code::Internal
        {
            self.database.find(problem.to_string());
        }
        self.answer(at, &entry.command, entry.asker, answered);
    }

    /// An order is priced, again under the same id.
    fn begin(&mut self, at: usize, mut entry: Entry) {
        if let Command::Place { placement, cart_version, .. } = &mut entry.command {
            let (id, shopper) = (placement.id, placement.shopper);
            let Some((basket, version)) = self.database.wanted(placement) else {
                self.count("empty carts");
                // Unless the key has its effect already.
                let problem = Problem::new(Code::CartEmpty, "The cart is empty.");
                return self.wait(at, entry, Some(problem));
            };
            (*placement, *cart_version) = (self.placement(id, shopper, &basket), version);
        }
        self.check(at, entry);
    }

    /// Whoever's key is in use elsewhere waits, or whoever is refused unless it has its effect.
    pub fn wait(&mut self, at: usize, entry: Entry, problem: Option<Problem>) {
        let until = self.database.now + DUPLICATE_WAIT;
        self.instances[at].waiting.push(Waiting { entry, until, problem });
    }

    /// The instance looks at a key that is in use elsewhere.
    pub fn look(&mut self, at: usize) {
        let Some(waiting) = self.instances[at].waiting.pop() else { return };
        let Waiting { entry, until, problem } = waiting;
        let Some(claim) = entry.command.new_claim() else { return };
        let saved = self.database.keys.get(&claim.id()).cloned();
        let answered = match (saved.map(|saved| saved.settled(claim)), problem) {
            (None, None) => return self.begin(at, entry),
            (None, Some(problem)) => Err(problem),
            (Some(Some(answered)), _) => {
                self.count("heard of what others did");
                answered
            }
            (Some(None), _) if until <= self.database.now => Err(in_progress()),
            (Some(None), problem) => {
                let waiting = Waiting { entry, until, problem };
                return self.instances[at].waiting.insert(0, waiting);
            }
        };
        self.answer(at, &entry.command, entry.asker, answered);
    }

    fn will_charge(&mut self, at: usize, due: Due, asker: Asker) {
        self.instances[at].charges.push(Charge { due, asker, is_resolved: false });
    }

    /// The instance asks a provider, and will record what it says.
    pub fn charge(&mut self, at: usize) {
        let Some(charge) = self.instances[at].charges.pop() else { return };
        let mut asked = charge.due.charge();
        if self.plant == Some(Plant::ChargeAnew) && charge.is_resolved {
            asked.payment = PaymentId::from(self.id());
        }
        self.database.judge_charge(&asked);
        let mut answer = self.provider.ask(&mut self.dice, &asked);
        if !charge.is_resolved && self.happens(Fault::Provider, 0.15) {
            self.count("payments without an answer");
            answer = Answer::Unknown;
        }
        let command = charge.due.settle(answer);
        if self.plant == Some(Plant::ForgetSettlements) && answer == Answer::Declined {
            return self.answer(at, &command, charge.asker, Err(Problem::unknown_outcome()));
        }
        let entry = Entry { command, asker: charge.asker, is_poison: false };
        self.instances[at].queue.push_back(entry);
    }

    /// The reaper of an instance: what was not paid in time, and what has no answer. Its
    /// candidates are the oldest, whatever the time is: the rule under the locks decides.
    pub fn reap(&mut self, at: usize) {
        if !self.instances[at].is_up {
            return;
        }
        let orders = self.database.orders.values();
        let unpaid = orders.filter(|row| row.state.status == Status::PendingPayment);
        let oldest: Vec<Known> = unpaid.map(|row| row.known.clone()).take(3).collect();
        for order in oldest {
            let command = Command::Expire { order };
            let entry = Entry { command, asker: None, is_poison: false };
            self.instances[at].queue.push_back(entry);
        }
        if self.plant == Some(Plant::NoReaper) {
            return;
        }
        let now = self.database.now;
        let payments = self.database.unsettled.values_mut();
        let Some(found) = payments.into_iter().find(|one| one.asked_at + RESOLVE_AFTER <= now)
        else {
            return;
        };
        found.asked_at = now;
        let mut unsettled = found.unsettled.clone();
        if self.plant == Some(Plant::ResolveWithoutKey) {
            unsettled.key = None;
        }
        let order = self.database.orders[&unsettled.order].known.clone();
        let due = Due::lost(unsettled, order, |_| SECRET.to_owned());
        self.count("payments resolved");
        self.instances[at].charges.push(Charge { due, asker: None, is_resolved: true });
    }

    /// The actor starts again and has forgotten who waits; its work goes on.
    pub fn restart(&mut self, at: usize) {
        self.count("restarts of an actor");
        self.instances[at].forgotten = self.id().as_u128() as u64;
        self.instances[at].in_flight = InFlight::default();
        for client in &mut self.clients {
            if client.waits_for == Some(at) {
                client.leaves();
            }
        }
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
