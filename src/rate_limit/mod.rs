//! For how much a client may ask.
//!
//! Two stages. Each instance keeps what clients owe it in memory of a fixed size, and refuses by
//! that at once. Redis adds it up for all instances: what is tight (logging in, registering …) is
//! asked there each time; what is generous is only told there, after each eighth of a burst, so
//! that neither a usual client nor a rush costs messages. Without Redis each instance limits by
//! itself.
//!
//! It knows no feature: whoever limits says by which rule, and of whom.

mod backoff;
mod guesses;
mod headers;
mod rate;
mod rules;
mod shared;
mod table;
#[cfg(test)]
mod tests;

pub use guesses::Guess;
pub use rate::{Rate, Standing};
pub use rules::{Class, Rates, Rule};

use crate::error::{Code, Problem};
use crate::metrics;
use crate::redis::Redis;
use shared::{Cost, Shared};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;
use table::Table;

/// Redis is told of a key after so many parts of a burst.
const PARTS: u32 = 8;

/// Who owes something to an instance, at most: 3 MiB.
const DEBTORS_MAX: usize = 131_072;

/// Places from which accounts were opened, remembered by an instance: 1 MiB.
const KNOWN_MAX: usize = 32_768;

/// The limits of clients. Cheap to clone.
#[derive(Clone)]
pub struct RateLimits(Option<Arc<Inner>>);

struct Inner {
    rates: Rates,
    table: Table,
    /// Places from which an account was opened, until they are forgotten.
    known: Table,
    /// Keyed by chance, so that nobody can choose where they meet whom.
    hasher: RandomState,
    started: Instant,
    shared: Option<Shared>,
}

/// One more request, by this rule, of that subject: an address, a token, an id.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'s> {
    /// Which limit.
    pub rule: Rule,
    /// Of whom; any bytes.
    pub of: &'s [u8],
}

/// The same, where there is a rate.
struct Asked<'s> {
    ask: Ask<'s>,
    rate: Rate,
    key: u64,
}

impl RateLimits {
    /// `secret` hides who is limited from whoever reads Redis; every instance of a shop has the
    /// same.
    pub fn new(rates: Rates, redis: Option<Redis>, secret: Vec<u8>) -> Self {
        Self(Some(Arc::new(Inner {
            rates,
            table: Table::new(DEBTORS_MAX),
            known: Table::new(KNOWN_MAX),
            hasher: RandomState::new(),
            started: Instant::now(),
            shared: redis.map(|redis| Shared::new(redis, secret)),
        })))
    }

    /// Nobody is limited.
    pub fn off() -> Self {
        Self(None)
    }

    /// Takes one request from each of the limits, or refuses with `rate_limited`. The standing is
    /// that of the limit of which least is left.
    pub async fn take(&self, asks: &[Ask<'_>]) -> Result<Option<Standing>, Problem> {
        let Some(inner) = &self.0 else { return Ok(None) };
        let here = inner.take_here(asks)?;
        if inner.shared.is_none() || !asks.iter().any(|ask| ask.rule.is_exact()) {
            return Ok(here);
        }
        let everywhere = inner.take_everywhere(asks).await?;
        Ok([here, everywhere].into_iter().flatten().min_by_key(|standing| standing.remaining))
    }

    /// The same for a limit that Redis is only told of, without waiting for anything.
    pub fn take_now(&self, ask: Ask<'_>) -> Result<Option<Standing>, Problem> {
        self.0.as_ref().map_or(Ok(None), |inner| inner.take_here(&[ask]))
    }
}

impl Inner {
    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn asked<'s>(&self, ask: Ask<'s>) -> Option<Asked<'s>> {
        let rate = self.rates.get(ask.rule)?;
        Some(Asked { ask, rate, key: self.key(ask) })
    }

    fn key(&self, Ask { rule, of }: Ask<'_>) -> u64 {
        self.hasher.hash_one((rule as u8, of))
    }

    /// The first stage.
    fn take_here(self: &Arc<Self>, asks: &[Ask<'_>]) -> Result<Option<Standing>, Problem> {
        let now = self.now();
        let mut tightest: Option<Standing> = None;
        for asked in asks.iter().filter_map(|ask| self.asked(*ask)) {
            let Asked { ask, rate, key } = asked;
            let part = (rate.burst() / PARTS).max(1);
            let taken = self.table.update(key, |entry| {
                let debt = rate.take(entry.debt(now)).map_err(|_| entry.debt(now))?;
                entry.clear_at = now + debt;
                entry.count += 1;
                let untold =
                    if entry.count < part { 0 } else { std::mem::take(&mut entry.count) };
                Ok((debt, untold))
            });
            let (debt, untold) = taken.map_err(|debt| refusal(ask.rule, rate.standing(debt)))?;
            if untold > 0 && !ask.rule.is_exact() {
                self.tell(&asked, untold);
            }
            let standing = rate.standing(debt);
            if tightest.is_none_or(|tightest| standing.remaining < tightest.remaining) {
                tightest = Some(standing);
            }
        }
        Ok(tightest)
    }

    /// Tells Redis of what was taken here, and learns what was taken elsewhere. Nobody waits.
    fn tell(self: &Arc<Self>, asked: &Asked<'_>, requests: u32) {
        let Some(shared) = &self.shared else { return };
        let &Asked { ask, rate, key } = asked;
        let name = shared.name(ask.rule.name(), ask.of);
        let cost = Cost { name, cost: rate.cost(requests), tolerance: rate.tolerance() };
        let inner = self.clone();
        tokio::spawn(async move {
            let Some(shared) = &inner.shared else { return };
            if let Some(debt) = shared.add(cost).await {
                inner.owes(key, debt);
            }
        });
    }

    /// Notes that a key owes at least so much.
    fn owes(&self, key: u64, debt: u64) {
        let clear_at = self.now().saturating_add(debt);
        self.table.update(key, |entry| entry.clear_at = entry.clear_at.max(clear_at));
    }

    /// The second stage, for the rules that are asked there. Without an answer the first one was
    /// all.
    async fn take_everywhere(&self, asks: &[Ask<'_>]) -> Result<Option<Standing>, Problem> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let exact = asks.iter().filter(|ask| ask.rule.is_exact());
        let exact: Vec<Asked<'_>> = exact.filter_map(|ask| self.asked(*ask)).collect();
        let cost = |asked: &Asked<'_>| Cost {
            name: shared.name(asked.ask.rule.name(), asked.ask.of),
            cost: asked.rate.cost(1),
            tolerance: asked.rate.tolerance(),
        };
        if exact.is_empty() {
            return Ok(None);
        }
        let Some((is_taken, debts)) = shared.take(exact.iter().map(cost).collect()).await else {
            return Ok(None);
        };
        let mut tightest: Option<(Rule, Standing)> = None;
        for (asked, debt) in exact.iter().zip(debts) {
            self.owes(asked.key, debt);
            let standing = asked.rate.standing(debt);
            if tightest.is_none_or(|(_, tightest)| standing.remaining < tightest.remaining) {
                tightest = Some((asked.ask.rule, standing));
            }
        }
        match tightest {
            Some((rule, standing)) if !is_taken => Err(refusal(rule, standing)),
            tightest => Ok(tightest.map(|(_, standing)| standing)),
        }
    }
}

fn refusal(rule: Rule, standing: Standing) -> Problem {
    metrics::rate_limited(rule.name());
    let standing = Standing { wait_seconds: standing.wait_seconds.max(1), ..standing };
    let detail = "Too many requests: ask again after `Retry-After`.";
    Problem { standing: Some(Box::new(standing)), ..Problem::new(Code::RateLimited, detail) }
}
