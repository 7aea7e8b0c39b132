//! What was last read of tokens, and for how long that may be believed.

use crate::auth::TokenHash;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

/// The tokens last seen, unknown ones too.
#[derive(Debug)]
pub struct Seen<T> {
    tokens: HashMap<TokenHash, (Option<T>, Instant)>,
    believed: Duration,
    tokens_max: usize,
}

impl<T: Clone> Seen<T> {
    /// What was read is believed for so long; at most so many tokens are remembered.
    pub fn new(believed: Duration, tokens_max: usize) -> Self {
        Self { tokens: HashMap::new(), believed, tokens_max }
    }

    /// What is believed of a token, if anything.
    pub fn get(&self, token: &TokenHash, now: Instant) -> Option<Option<T>> {
        let (found, at) = self.tokens.get(token)?;
        self.is_believed(*at, now).then(|| found.clone())
    }

    /// Remembers what was true in PostgreSQL at `at` or later, unless something newer is known.
    pub fn put(&mut self, token: TokenHash, found: Option<T>, at: Instant) {
        if self.tokens.len() >= self.tokens_max && !self.tokens.contains_key(&token) {
            let believed = self.believed;
            self.tokens.retain(|_, (_, seen)| at.saturating_duration_since(*seen) < believed);
            if self.tokens.len() >= self.tokens_max {
                return;
            }
        }
        match self.tokens.entry(token) {
            Entry::Occupied(seen) if at < seen.get().1 => {}
            seen => drop(seen.insert_entry((found, at))),
        }
    }

    fn is_believed(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) < self.believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BELIEVED: Duration = Duration::from_millis(700);

    #[test]
    fn what_was_read_is_believed_for_a_moment_only() {
        let (mut seen, now, found) = (Seen::new(BELIEVED, 10), Instant::now(), Some("Ada"));
        seen.put([1; 32], found, now);
        seen.put([2; 32], None, now);
        let last = now + BELIEVED - Duration::from_millis(1);
        assert_eq!(seen.get(&[1; 32], last), Some(found));
        assert_eq!(seen.get(&[2; 32], last), Some(None), "unknown tokens too");
        assert_eq!(seen.get(&[1; 32], now + BELIEVED), None);
        assert_eq!(seen.get(&[3; 32], now), None);
    }

    #[test]
    fn a_read_from_before_a_log_out_does_not_bring_the_session_back() {
        let (mut seen, now) = (Seen::new(BELIEVED, 10), Instant::now());
        seen.put([1; 32], None, now + Duration::from_millis(1));
        seen.put([1; 32], Some("Ada"), now);
        assert_eq!(seen.get(&[1; 32], now + Duration::from_millis(2)), Some(None));
    }

    #[test]
    fn it_forgets_what_is_no_longer_believed_and_never_grows_beyond_its_bound() {
        let (mut seen, now) = (Seen::<&str>::new(BELIEVED, 2), Instant::now());
        seen.put([1; 32], None, now);
        seen.put([2; 32], None, now + BELIEVED / 2);
        seen.put([3; 32], None, now + BELIEVED / 2);
        assert_eq!((seen.tokens.len(), seen.get(&[3; 32], now)), (2, None));
        seen.put([3; 32], None, now + BELIEVED);
        assert_eq!(seen.tokens.len(), 2);
        assert!(!seen.tokens.contains_key(&[1; 32]));
    }
}
