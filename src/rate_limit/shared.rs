//! The second stage: Redis adds up what clients owe to all instances. It may lose everything at
//! any moment, and is never waited for longer than its timeout.
//!
//! A key is a keyed hash of what is limited: neither addresses nor credentials stand in Redis. Its
//! value is the microsecond of Redis' own clock at which the client owes nothing any more, and at
//! that moment it expires.

use super::backoff::FORGET;
use crate::auth::hex;
use crate::redis::Redis;
use hmac::{Hmac, KeyInit, Mac};
use redis::{Script, pipe};
use sha2::Sha256;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Adds a cost to what each key owes. If they may be refused and one would owe too much, nothing
/// is added to any; else nobody owes more than the most that is tolerated. Answers whether one was
/// refused, and what each owes now.
static OWE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local owed, answer, is_refused = {}, {0}, false
        for i, key in ipairs(KEYS) do
            local clear_at = tonumber(redis.call('GET', key) or '0')
            local cost, tolerance = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
            -- Another server's clock may have been ahead.
            answer[i + 1] = math.min(math.max(clear_at - now, 0), tolerance)
            owed[i] = answer[i + 1] + cost
            if owed[i] > tolerance then
                is_refused = is_refused or ARGV[1] == '1'
                owed[i] = tolerance
            end
        end
        if is_refused then
            answer[1] = 1
            return answer
        end
        for i, key in ipairs(KEYS) do
            answer[i + 1] = owed[i]
            redis.call('SET', key, string.format('%.0f', now + owed[i]),
                'PX', math.ceil(owed[i] / 1000) + 1)
        end
        return answer",
    )
});

/// Redis as the limits of one shop use it.
pub(super) struct Shared {
    redis: Redis,
    /// The braces keep all keys of a shop in one slot of a cluster.
    prefix: String,
    secret: Vec<u8>,
}

/// The name of a key in Redis.
#[derive(Clone)]
pub(super) struct Name(Arc<str>);

/// What one key owes more, and the most that it may owe, in nanoseconds.
pub(super) struct Cost {
    pub name: Name,
    pub cost: u64,
    pub tolerance: u64,
}

/// What Redis knows of who guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guessed {
    /// What the account owes, in nanoseconds.
    pub debt: u64,
    /// Failures of this place in a row, and how long ago the last one was.
    pub failures: u32,
    pub since: Duration,
    /// Whether the account was opened from there.
    pub is_known: bool,
}

impl Shared {
    /// `secret` is the same on every instance of a shop, and known to nobody else.
    pub fn new(redis: Redis, secret: Vec<u8>) -> Self {
        let shop = keyed_hash(&secret, &[b"shop"]);
        Self { redis, prefix: format!("doorbuster:{{{shop}}}:limits:"), secret }
    }

    /// The name of what is limited.
    pub fn name(&self, limit: &str, subject: &[u8]) -> Name {
        let hash = keyed_hash(&self.secret, &[limit.as_bytes(), b"\0", subject]);
        Name(format!("{}{hash}", self.prefix).into())
    }

    /// Adds the costs unless one of the keys would owe too much; whether they were added, and what
    /// each key owes.
    pub async fn take(&self, costs: Vec<Cost>) -> Option<(bool, Vec<u64>)> {
        self.owe(true, costs).await
    }

    /// Adds what was taken already; what the key owes.
    pub async fn add(&self, cost: Cost) -> Option<u64> {
        let (_, debts) = self.owe(false, vec![cost]).await?;
        debts.first().copied()
    }

    async fn owe(&self, may_refuse: bool, costs: Vec<Cost>) -> Option<(bool, Vec<u64>)> {
        let question = move |mut connection| async move {
            let mut owe = OWE.prepare_invoke();
            owe.arg(u8::from(may_refuse));
            for Cost { name, cost, tolerance } in costs {
                // Rounded so that a whole burst fits.
                owe.key(&*name.0).arg(cost / 1_000).arg(tolerance.div_ceil(1_000));
            }
            owe.invoke_async::<Vec<u64>>(&mut connection).await
        };
        let answer = self.redis.ask(question).await?;
        let (is_refused, debts) = answer.split_first()?;
        Some((*is_refused == 0, debts.iter().map(|micros| micros * 1_000).collect()))
    }

    /// What is known of an account and of one place that guesses its secret.
    pub async fn guessed(&self, [account, place, known]: [&Name; 3]) -> Option<Guessed> {
        let mut question = pipe();
        question.cmd("TIME").cmd("GET").arg(&*account.0);
        question.cmd("GET").arg(&*place.0).cmd("PTTL").arg(&*place.0);
        question.cmd("EXISTS").arg(&*known.0);
        let ask = |mut connection| async move { question.query_async(&mut connection).await };
        type Answer = ((u64, u64), Option<u64>, Option<u32>, i64, bool);
        let ((seconds, micros), clear_at, failures, left, is_known): Answer =
            self.redis.ask(ask).await?;
        let now = seconds * 1_000_000 + micros;
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        Some(Guessed {
            debt: clear_at.unwrap_or(0).saturating_sub(now) * 1_000,
            failures: failures.unwrap_or(0),
            since: FORGET.saturating_sub(left),
            is_known,
        })
    }

    /// One more wrong guess from a place; how many there are now.
    pub async fn failed(&self, place: &Name) -> Option<u32> {
        let mut question = pipe();
        question.atomic().cmd("INCR").arg(&*place.0);
        question.cmd("PEXPIRE").arg(&*place.0).arg(FORGET.as_millis() as u64).ignore();
        let ask = |mut connection| async move { question.query_async(&mut connection).await };
        let (failures,): (u32,) = self.redis.ask(ask).await?;
        Some(failures)
    }

    /// A right one: the place has a clean slate, and is known for so long.
    pub async fn succeeded(&self, place: &Name, known: &Name, kept: Duration) {
        let mut question = pipe();
        question.cmd("DEL").arg(&*place.0).ignore();
        question.cmd("SET").arg(&*known.0).arg(1).arg("PX").arg(kept.as_millis() as u64).ignore();
        let ask = |mut connection| async move { question.query_async(&mut connection).await };
        self.redis.ask::<(), _, _>(ask).await;
    }
}

/// 128 bits of it, as text.
fn keyed_hash(secret: &[u8], parts: &[&[u8]]) -> String {
    // A key of any length will do.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
    hex(&mac.finalize().into_bytes()[..16])
}
