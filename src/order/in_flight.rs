//! The keys that are worked on here, and those who wait for the same answer. Pure.

use super::step::Answered;
use crate::idempotency::{Claim, KeyId, reused};
use std::collections::HashMap;

/// Duplicates of requests in flight; `W` is whoever waits.
#[derive(Debug)]
pub struct InFlight<W> {
    waiting: HashMap<KeyId, Vec<(Claim, W)>>,
}

impl<W> Default for InFlight<W> {
    fn default() -> Self {
        Self { waiting: HashMap::new() }
    }
}

impl<W> InFlight<W> {
    /// Whoever comes first with a key is given back, to be worked for; others wait for it.
    pub fn enter(&mut self, claim: &Claim, who: W) -> Option<W> {
        let id = claim.id();
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.push((claim.clone(), who));
            return None;
        }
        self.waiting.insert(id, Vec::new());
        Some(who)
    }

    /// The first is answered. What everybody is told who has waited for it; `None` if the key is
    /// free again, so that another request under it is judged anew.
    pub fn leave(&mut self, claim: &Claim, answered: &Answered) -> Vec<(W, Option<Answered>)> {
        let waiting = self.waiting.remove(&claim.id()).unwrap_or_default().into_iter();
        let told = |other: &Claim| match answered {
            Ok(reply) if other.request_hash == claim.request_hash => {
                Some(Ok(reply.clone().replay()))
            }
            Ok(_) => Some(Err(reused())),
            Err(problem) if other.request_hash == claim.request_hash => {
                Some(Err(problem.clone()))
            }
            Err(_) => None,
        };
        waiting.map(|(other, who)| (who, told(&other))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Problem};
    use crate::idempotency::Reply;

    fn claim(hash: u8) -> Claim {
        Claim { scope: "s".into(), key: "k".into(), request_hash: [hash; 32] }
    }

    /// The first of three, of which the third asks for something else.
    fn three() -> InFlight<&'static str> {
        let mut in_flight = InFlight::default();
        assert_eq!(in_flight.enter(&claim(1), "first"), Some("first"));
        assert_eq!(in_flight.enter(&claim(1), "same"), None);
        assert_eq!(in_flight.enter(&claim(2), "other"), None);
        in_flight
    }

    #[test]
    fn duplicates_are_told_the_same_and_another_request_that_the_key_is_used() {
        let reply = Reply::ok("{}");
        let told = three().leave(&claim(1), &Ok(reply.clone()));
        assert_eq!(told, [("same", Some(Ok(reply.replay()))), ("other", Some(Err(reused())))]);
    }

    #[test]
    fn a_refusal_frees_the_key_for_another_request() {
        let refused = Err(Problem::new(Code::OutOfStock, "none"));
        let mut in_flight = three();
        let told = in_flight.leave(&claim(1), &refused);
        assert_eq!(told, [("same", Some(refused)), ("other", None)]);
        assert_eq!(in_flight.enter(&claim(2), "other"), Some("other"));
    }
}
