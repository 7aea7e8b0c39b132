//! A provider: it decides once about each payment, and its answer may get lost.

use doorbuster::id::{OrderId, PaymentId};
use doorbuster::payment::Answer;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;

/// What it has decided.
#[derive(Debug, Default, Clone)]
pub struct Provider {
    decided: BTreeMap<PaymentId, (OrderId, Answer)>,
}

impl Provider {
    /// Asks about a payment; asking twice collects once.
    pub fn ask(&mut self, dice: &mut StdRng, order: OrderId, payment: PaymentId) -> Answer {
        let yes = dice.random_bool(0.8);
        self.decide(order, payment, yes)
    }

    /// What it says of a payment; what it would say is forgotten if it has decided before.
    pub fn decide(&mut self, order: OrderId, payment: PaymentId, yes: bool) -> Answer {
        let answer = if yes { Answer::Captured } else { Answer::Declined };
        self.decided.entry(payment).or_insert((order, answer)).1
    }

    /// What it has taken, and for which order.
    pub fn taken(&self) -> impl Iterator<Item = (PaymentId, OrderId)> {
        let taken = self.decided.iter().filter(|(_, (_, answer))| *answer == Answer::Captured);
        taken.map(|(payment, (order, _))| (*payment, *order))
    }
}
