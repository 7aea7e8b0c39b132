//! A provider: it decides once about each payment, and its answer may get lost.

use doorbuster::id::{OrderId, PaymentId};
use doorbuster::payment::{Answer, Charge};
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;

/// What it has decided.
#[derive(Debug, Default, Clone)]
pub struct Provider {
    decided: BTreeMap<PaymentId, (Charge, Answer)>,
}

impl Provider {
    /// Asks about a payment; asking twice collects once.
    pub fn ask(&mut self, dice: &mut StdRng, charge: &Charge) -> Answer {
        let yes = dice.random_bool(0.8);
        self.decide(charge, yes)
    }

    /// What it says of a payment; what it would say is forgotten if it has decided before.
    pub fn decide(&mut self, charge: &Charge, yes: bool) -> Answer {
        let answer = if yes { Answer::Captured } else { Answer::Declined };
        self.decided.entry(charge.payment).or_insert_with(|| (charge.clone(), answer)).1
    }

    /// What it has taken, and for which order.
    pub fn taken(&self) -> impl Iterator<Item = (PaymentId, OrderId)> {
        let taken = self.decided.values().filter(|(_, answer)| *answer == Answer::Captured);
        taken.map(|(charge, _)| (charge.payment, charge.order))
    }
}
