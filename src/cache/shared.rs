//! The second tier: Redis, which all instances of a shop share. It may lose everything at any
//! moment, and is never waited for longer than its timeout.
//!
//! A value is its order, when it was read by Redis' own clock, and its bytes. Whoever wants it
//! learns the time with it, so clocks of instances are not compared. The reader took the time from
//! Redis before it read, so a value is never taken for younger than it is.

use super::entry::{Moment, Order};
use crate::redis::{Heard, Redis, Subscription};
use bytes::Bytes;
use redis::{Script, pipe};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// That there is nothing is kept until a read that was on its way has arrived.
const ABSENT_KEPT: Duration = Duration::from_secs(5);

/// Digits of an order, then digits of a time.
const ORDER_DIGITS: usize = 20;
const TIME_DIGITS: usize = 16;
const HEAD: usize = ORDER_DIGITS + TIME_DIGITS;

/// Sets each key, if what it holds is older. What was read ten seconds earlier is older whatever
/// its order: then the database has lost its last transactions in a failover. What is of the
/// future counts for nothing: Redis has lost a server whose clock was ahead.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        for i, key in ipairs(KEYS) do
            local value, kept = ARGV[2 * i - 1], ARGV[2 * i]
            local head = string.sub(value, 1, 36)
            local held = redis.call('GETRANGE', key, 0, 35)
            local held_at = tonumber(string.sub(held, 21, 36)) or 0
            local is_outlived = held_at > 0
                and held_at + 10000000 < tonumber(string.sub(head, 21, 36))
            if held < head or is_outlived or held_at > now then
                redis.call('SET', key, value, 'PX', kept)
            end
        end",
    )
});

/// Makes values of any age, but keeps their order and bytes, and tells the other instances.
static OUTDATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "for _, key in ipairs(KEYS) do
            if redis.call('EXISTS', key) == 1 then
                redis.call('SETRANGE', key, 20, '0000000000000000')
            end
        end
        redis.call('PUBLISH', ARGV[1], ARGV[2])",
    )
});

/// Redis as one shop uses it. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    redis: Redis,
    shop: Arc<str>,
    format: u32,
    /// Whoever hears its own words does nothing.
    instance: Arc<str>,
}

/// A time by Redis' clock, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RedisTime(pub(super) u64);

/// A value as Redis holds it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub body: Option<Bytes>,
    pub order: Order,
    /// By this instance's clock.
    pub read_at: Moment,
}

/// What is invalid from now on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    All,
    Stripes(Vec<usize>),
}

impl Shared {
    /// `shop` names the database: several may share a Redis. Releases that keep values in another
    /// `format` do not see each other's, but hear of each other's changes.
    pub fn new(redis: Redis, shop: &str, format: u32) -> Self {
        let instance = format!("{:016x}", rand::random::<u64>());
        Self { redis, shop: shop.into(), format, instance: instance.into() }
    }

    /// Where changes are told. The braces keep all keys of a shop in one slot of a cluster.
    fn channel(&self, cache: &str) -> String {
        format!("doorbuster:{{{}}}:{cache}", self.shop)
    }

    /// Where the value of that name is kept.
    fn key(&self, cache: &str, name: &str) -> String {
        format!("{}:{}:{name}", self.channel(cache), self.format)
    }

    /// What there is of the keys, in their order, and a time that has passed.
    pub(super) async fn get(
        &self,
        cache: &str,
        names: &[String],
    ) -> Option<(RedisTime, Vec<Option<Held>>)> {
        let mut question = pipe();
        question.cmd("TIME").cmd("MGET");
        for name in names {
            question.arg(self.key(cache, name));
        }
        let asked_at = Moment::now();
        let ask = |mut connection| async move { question.query_async(&mut connection).await };
        type Answer = ((u64, u64), Vec<Option<Vec<u8>>>);
        let ((seconds, micros), values): Answer = self.redis.ask(ask).await?;
        let time = RedisTime(seconds * 1_000_000 + micros);
        let read = |value: Option<Vec<u8>>| decode(value?, time, asked_at);
        Some((time, values.into_iter().map(read).collect()))
    }

    /// Keeps for so long what was read after `time`, where it is newer.
    pub(super) async fn put(
        &self,
        cache: &str,
        kept: Duration,
        time: RedisTime,
        values: Vec<(String, Option<Bytes>, Order)>,
    ) {
        let mut put = PUT.prepare_invoke();
        for (name, body, order) in values {
            let kept = if body.is_some() { kept } else { ABSENT_KEPT };
            put.key(self.key(cache, &name));
            put.arg(encode(body.as_deref(), order, time)).arg(kept.as_millis() as u64);
        }
        let put = |mut connection| async move { put.invoke_async::<()>(&mut connection).await };
        self.redis.ask(put).await;
    }

    /// Outdates what Redis holds and tells the other instances.
    pub(super) async fn invalidate(&self, cache: &str, names: Vec<String>, invalid: Invalid) {
        let keys: Vec<String> = names.iter().map(|name| self.key(cache, name)).collect();
        let (channel, message) = (self.channel(cache), self.message(&invalid));
        let outdate = |mut connection| async move {
            let mut outdate = OUTDATE.prepare_invoke();
            for key in keys {
                outdate.key(key);
            }
            outdate.arg(channel).arg(message);
            outdate.invoke_async::<()>(&mut connection).await
        };
        self.redis.ask(outdate).await;
    }

    /// Hears what other instances invalidate, and everything after words may have been missed.
    pub(super) fn listen(
        &self,
        cache: &str,
        heard: impl Fn(Invalid) + Send + Sync + 'static,
    ) -> Subscription {
        let instance = self.instance.clone();
        self.redis.subscribe(self.channel(cache), move |said| match said {
            Heard::Connected => heard(Invalid::All),
            Heard::Message(message) => {
                if let Some(invalid) = parse(message, &instance) {
                    heard(invalid);
                }
            }
        })
    }

    fn message(&self, invalid: &Invalid) -> String {
        let mut message = self.instance.to_string();
        match invalid {
            Invalid::All => message.push_str(" all"),
            Invalid::Stripes(stripes) => {
                stripes.iter().for_each(|stripe| message.push_str(&format!(" {stripe}")));
            }
        }
        message
    }
}

/// What another instance said. Who does not understand it forgets everything.
fn parse(message: &[u8], own: &str) -> Option<Invalid> {
    let Ok(message) = std::str::from_utf8(message) else { return Some(Invalid::All) };
    let mut words = message.split(' ');
    if words.next() == Some(own) {
        return None;
    }
    let stripes: Result<Vec<usize>, _> = words.map(str::parse).collect();
    Some(stripes.map_or(Invalid::All, Invalid::Stripes))
}

fn encode(body: Option<&[u8]>, order: Order, time: RedisTime) -> Vec<u8> {
    let mut value = format!("{:020}{:016}", order.0, time.0).into_bytes();
    value.push(if body.is_some() { b'1' } else { b'0' });
    value.extend_from_slice(body.unwrap_or_default());
    value
}

fn decode(value: Vec<u8>, time: RedisTime, asked_at: Moment) -> Option<Held> {
    let head = std::str::from_utf8(value.get(..HEAD)?).ok()?;
    let (order, read_at) = head.split_at(ORDER_DIGITS);
    let order = Order(order.parse().ok()?);
    let read_at: u64 = read_at.parse().ok()?;
    // A server whose clock is behind has taken the place of the one that it was written to.
    let age = Duration::from_micros(time.0.checked_sub(read_at)?);
    let is_there = *value.get(HEAD)? == b'1';
    let body = is_there.then(|| Bytes::from(value).slice(HEAD + 1..));
    Some(Held { body, order, read_at: asked_at.minus(age) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_as_old_as_redis_says_when_it_was_asked() {
        let (written, asked_at) = (RedisTime(1_700_000_000_000_000), Moment::now());
        let value = encode(Some(b"{}"), Order(u64::MAX), written);
        let later = RedisTime(written.0 + 300_000);
        let copy = decode(value, later, asked_at).unwrap();
        let read_at = asked_at.minus(Duration::from_millis(300));
        let body = Some(Bytes::from_static(b"{}"));
        assert_eq!(copy, Held { body, order: Order(u64::MAX), read_at });
        let absent = decode(encode(None, Order(1), written), written, asked_at).unwrap();
        assert_eq!((absent.body, absent.order), (None, Order(1)));
    }

    #[test]
    fn what_somebody_else_put_there_is_no_copy() {
        for value in ["", "1", "hello", &"x".repeat(50), &"1".repeat(36)] {
            let copy = decode(value.as_bytes().to_vec(), RedisTime(0), Moment::now());
            assert_eq!(copy, None, "{value}");
        }
    }

    #[test]
    fn a_copy_from_the_future_of_the_server_s_clock_is_of_no_known_age() {
        let (written, now) = (RedisTime(1_700_000_003_000_000), RedisTime(1_700_000_002_000_000));
        assert_eq!(decode(encode(Some(b"{}"), Order(1), written), now, Moment::now()), None);
    }

    #[test]
    fn an_instance_hears_the_others_and_not_itself() {
        assert_eq!(parse(b"a 1 22", "b"), Some(Invalid::Stripes(vec![1, 22])));
        assert_eq!(parse(b"a all", "b"), Some(Invalid::All));
        assert_eq!(parse(b"a 1 x", "b"), Some(Invalid::All));
        assert_eq!(parse(&[255], "b"), Some(Invalid::All));
        assert_eq!(parse(b"b 1 22", "b"), None);
    }
}
