//! Guessing the secret of an account.
//!
//! A place that keeps being wrong about one account waits longer and longer, and all places
//! together have a limit for each account; but from where it was opened before, it can be opened
//! whatever others do. Only failures count, so whoever is right is in nobody's way. Whether there
//! is such an account makes no difference.

use super::backoff::{self, FORGET};
use super::rate::{Rate, seconds};
use super::shared::{Cost, Name, Shared};
use super::table::Entry;
use super::{Ask, Inner, RateLimits, Rule, Standing, refusal};
use crate::error::Problem;
use crate::peer::Peer;
use std::sync::Arc;
use std::time::Duration;

/// For so long a place is known from which an account was opened: 30 days.
const KNOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Somebody is about to be right or wrong about the secret of an account.
pub struct Guess(Option<Guesser>);

struct Guesser {
    inner: Arc<Inner>,
    rate: Rate,
    /// All that guess at this account. The entry counts what they owe.
    account: Key,
    /// Those who do so from one place. The entry counts failures in a row, and is clear when they
    /// are forgotten.
    place: Key,
    /// That the account was opened from there.
    known: Key,
}

/// Under which something is remembered here and in Redis.
struct Key {
    here: u64,
    everywhere: Option<Name>,
}

impl RateLimits {
    /// Whether somebody from there may guess the secret of this account now; if not,
    /// `rate_limited`. Whoever may tells how it went.
    pub async fn guess(&self, account: &str, from: Peer) -> Result<Guess, Problem> {
        let Some(inner) = self.0.clone() else { return Ok(Guess(None)) };
        let Some(rate) = inner.rates.get(Rule::Guesses) else { return Ok(Guess(None)) };
        let key = |of: &str| Key {
            here: inner.key(Ask { rule: Rule::Guesses, of: of.as_bytes() }),
            everywhere: inner
                .shared
                .as_ref()
                .map(|shared| shared.name(Rule::Guesses.name(), of.as_bytes())),
        };
        // No address of an account has a NUL in it.
        let from = format!("{account}\0{}", from.neighbourhood());
        let (account, place) = (key(account), key(&from));
        let known = key(&format!("{from}\0known"));
        let guesser = Guesser { inner, rate, account, place, known };
        guesser.admit().await?;
        Ok(Guess(Some(guesser)))
    }
}

impl Guess {
    /// It was wrong.
    pub async fn failed(self) {
        if let Some(guesser) = self.0 {
            guesser.failed().await;
        }
    }

    /// It was right: this place is known, and may be wrong again.
    pub async fn succeeded(self) {
        let Some(guesser) = self.0 else { return };
        guesser.remember(0, FORGET);
        guesser.know();
        if let Some((shared, [_, place, known])) = guesser.shared() {
            shared.succeeded(place, known, KNOWN).await;
        }
    }
}

impl Guesser {
    /// Redis, and what account, place and knowledge are called there.
    fn shared(&self) -> Option<(&Shared, [&Name; 3])> {
        let Self { inner, account, place, known, .. } = self;
        let [account, place, known] = [account, place, known].map(|key| key.everywhere.as_ref());
        Some((inner.shared.as_ref()?, [account?, place?, known?]))
    }

    async fn admit(&self) -> Result<(), Problem> {
        let Self { inner, rate, account, place, known } = self;
        if let Some((shared, names)) = self.shared()
            && let Some(guessed) = shared.guessed(names).await
        {
            // The clock of another Redis may have been ahead.
            inner.owes(account.here, guessed.debt.min(rate.tolerance()));
            self.remember(guessed.failures, guessed.since);
            if guessed.is_known {
                self.know();
            }
        }
        let now = inner.now();
        let (failures, since) = failures(&inner.table.get(place.here), now);
        let wait = backoff::wait(failures, since);
        if !wait.is_zero() {
            let wait_seconds = seconds(nanos(wait));
            let reset_seconds = wait_seconds;
            let standing = Standing { limit: 1, remaining: 0, reset_seconds, wait_seconds };
            return Err(refusal(Rule::Guesses, standing));
        }
        if inner.known.get(known.here).debt(now) > 0 {
            return Ok(());
        }
        let debt = inner.table.get(account.here).debt(now);
        let taken = rate.take(debt);
        taken.map(drop).map_err(|_| refusal(Rule::Guesses, rate.standing(debt)))
    }

    async fn failed(&self) {
        let Self { inner, rate, account, place, .. } = self;
        let (cost, tolerance) = (rate.cost(1), rate.tolerance());
        let now = inner.now();
        // Guesses that were on their way at once may all be wrong: more than is tolerated.
        let debt = inner.table.get(account.here).debt(now).saturating_add(cost).min(tolerance);
        inner.owes(account.here, debt);
        let (before, _) = failures(&inner.table.get(place.here), now);
        self.remember(before.saturating_add(1), Duration::ZERO);
        let Some((shared, [account, place, _])) = self.shared() else { return };
        let cost = Cost { name: account.clone(), cost, tolerance };
        let (debt, failures) = tokio::join!(shared.add(cost), shared.failed(place));
        if let Some(debt) = debt {
            inner.owes(self.account.here, debt);
        }
        if let Some(failures) = failures {
            self.remember(failures, Duration::ZERO);
        }
    }

    /// Notes that the account was opened from this place.
    fn know(&self) {
        let clear_at = self.inner.now() + nanos(KNOWN);
        self.inner.known.update(self.known.here, |entry| entry.clear_at = clear_at);
    }

    /// Notes how often the place was wrong in a row, the last time so long ago.
    fn remember(&self, failures: u32, since: Duration) {
        let clear_at = self.inner.now() + nanos(FORGET.saturating_sub(since));
        self.inner.table.update(self.place.here, |entry| {
            (entry.count, entry.clear_at) = (failures, clear_at);
        });
    }
}

/// The failures of a place that are not forgotten yet, and how long ago the last one was.
fn failures(place: &Entry, now: u64) -> (u32, Duration) {
    match Duration::from_nanos(place.debt(now)) {
        Duration::ZERO => (0, FORGET),
        left => (place.count, FORGET.saturating_sub(left)),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
