//! What follows from an outcome, for whoever asked. Pure; [`super::actor`] and the reaper carry it
//! out, and so does the simulation.

use super::command::{Command, Known, Outcome};
use crate::error::{Code, Problem};
use crate::id::{OrderId, PaymentId};
use crate::idempotency::{Claim, Reply};
use crate::payment::{Answer, Charge};
use std::borrow::Cow;

/// What a request comes to.
pub type Answered = Result<Reply, Problem>;

/// A payment whose provider has not answered, as the reaper finds it.
#[derive(Debug, Clone)]
pub struct Unsettled {
    /// The order.
    pub order: OrderId,
    /// The attempt.
    pub payment: PaymentId,
    /// Whom to ask.
    pub provider: String,
    /// What the provider needs.
    pub token: Option<String>,
    /// The key whose reply waits for the answer, if any: scope and key.
    pub key: Option<(String, String)>,
    /// Whether the payment came with the order.
    pub is_first: bool,
}

/// A payment that is durable, and that its provider must be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The order.
    pub order: Known,
    /// The attempt.
    pub payment: PaymentId,
    /// Whom to ask.
    pub provider: Cow<'static, str>,
    /// What the provider needs.
    pub token: Option<String>,
    /// The key whose reply waits for the answer.
    pub claim: Option<Claim>,
    /// Set if the payment came with the order: then the reply is its 201.
    pub access_token: Option<String>,
}

impl Due {
    /// The payment that this command has begun; `None` if it begins none.
    pub fn of(command: &Command, order: Known) -> Option<Self> {
        let (payment, access_token) = match command {
            Command::Place { payment, access_token, .. } => (payment, Some(access_token.clone())),
            Command::Pay { payment, .. } => (payment, None),
            _ => return None,
        };
        Some(Self {
            order,
            payment: payment.id,
            provider: payment.provider.into(),
            token: payment.token.clone(),
            claim: command.claim().cloned(),
            access_token,
        })
    }

    /// The payment of `order` whose answer was lost; `access_token` makes the order's secret.
    pub fn lost(
        unsettled: Unsettled,
        order: Known,
        access_token: impl FnOnce(OrderId) -> String,
    ) -> Self {
        let Unsettled { order: id, payment, provider, token, key, is_first } = unsettled;
        // The key is taken already, so nobody compares the hash.
        let claim = |(scope, key): (String, String)| Claim {
            scope: scope.into(),
            key: key.into(),
            request_hash: [0; 32],
        };
        Self {
            order,
            payment,
            provider: provider.into(),
            token,
            claim: key.map(claim),
            access_token: is_first.then(|| access_token(id)),
        }
    }

    /// What the provider is asked.
    pub fn charge(&self) -> Charge {
        let placement = &self.order.placement;
        let (order, amount) = (placement.id, placement.total());
        Charge { order, payment: self.payment, amount, token: self.token.clone() }
    }

    /// Records what the provider said.
    pub fn settle(self, answer: Answer) -> Command {
        let Self { order, payment, claim, access_token, .. } = self;
        Command::Settle { claim, order, payment, answer, access_token }
    }
}

/// What whoever asked does next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// This is the answer.
    Answer(Answered),
    /// Ask the provider, and record what it says.
    Charge(Box<Due>),
    /// Read the order, which an earlier run has made, and charge it.
    Resume,
    /// Refuse, naming what is available for each line.
    SoldOut(Vec<i64>),
    /// Price the order again, with offers that are read anew.
    PriceAgain,
    /// Read the cart again, and price it.
    ReadAgain,
    /// The key is in use elsewhere: wait for its answer, or until it is free; then this.
    Wait(Problem),
}

impl Command {
    /// What whoever asked is told if the command came to nothing for this reason: the payment of a
    /// settlement stands all the same, and the reaper asks again what became of it, so nobody may
    /// be told that nothing was begun.
    pub fn told_after_failure(&self, problem: Problem) -> Problem {
        match self {
            Self::Settle { .. } => Problem::unknown_outcome(),
            _ => problem,
        }
    }

    /// What follows from this outcome of the command.
    pub fn step(&self, outcome: Outcome) -> Step {
        let is_waiting = |problem: &Problem| {
            problem.code == Code::RequestInProgress && self.new_claim().is_some()
        };
        match outcome {
            Outcome::Answered(reply) => Step::Answer(Ok(reply)),
            Outcome::Charge(order) => match Due::of(self, order) {
                Some(due) => Step::Charge(Box::new(due)),
                None => Step::Answer(Err(Problem::unknown_outcome())),
            },
            Outcome::Resume => Step::Resume,
            Outcome::SoldOut(available) => Step::SoldOut(available),
            Outcome::OfferChanged => Step::PriceAgain,
            Outcome::CartChanged => Step::ReadAgain,
            Outcome::Refused(problem) if is_waiting(&problem) => Step::Wait(problem),
            Outcome::Refused(problem) => Step::Answer(Err(problem)),
            Outcome::Nothing => Step::Answer(Err(Problem::unknown_outcome())),
        }
    }
}
