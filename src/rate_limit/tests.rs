//! The two stages together, with a Redis that is killed in the end.

use super::*;
use crate::peer::Peer;
use crate::redis::tests::Servers;
use std::time::Duration;
use tokio::time::sleep;

/// These rules have a rate, the others none.
fn rates(some: &[(Rule, &str)]) -> Rates {
    Rates::of(|rule| {
        let rate = some.iter().find(|(named, _)| *named == rule);
        rate.map(|(_, rate)| Rate::parse(rate).unwrap())
    })
}

fn ask(rule: Rule, of: &str) -> Ask<'_> {
    Ask { rule, of: of.as_bytes() }
}

fn peer(address: &str) -> Peer {
    Peer(address.parse().unwrap())
}

async fn is_taken(limits: &RateLimits, rule: Rule, of: &str) -> bool {
    match limits.take(&[ask(rule, of)]).await {
        Ok(_) => true,
        Err(problem) => {
            assert_eq!(problem.code, Code::RateLimited);
            assert!(problem.retry_after().is_some_and(|seconds| seconds > 0));
            false
        }
    }
}

/// How many of so many are taken.
async fn taken(limits: &RateLimits, rule: Rule, of: &str, times: usize) -> usize {
    let mut count = 0;
    for _ in 0..times {
        count += usize::from(is_taken(limits, rule, of).await);
    }
    count
}

/// Fails at one account, from one address; whether that was allowed.
async fn guesses_wrong(limits: &RateLimits, account: &str, from: &str) -> bool {
    match limits.guess(account, peer(from)).await {
        Ok(guess) => {
            guess.failed().await;
            true
        }
        Err(problem) => {
            assert_eq!(problem.code, Code::RateLimited);
            false
        }
    }
}

#[tokio::test]
async fn each_has_a_limit_and_the_tightest_is_told() {
    let rates = rates(&[
        (Rule::Address, "1/hour burst 5"),
        (Rule::AddressLogins, "1/hour burst 3"),
        (Rule::Credential, "1/hour burst 9"),
    ]);
    let limits = RateLimits::new(rates, None, Vec::new());
    let all = [
        ask(Rule::Address, "a"),
        ask(Rule::AddressLogins, "a"),
        ask(Rule::Credential, "a"),
        ask(Rule::Customer, "a"),
    ];
    let standing = limits.take(&all).await.unwrap().unwrap();
    assert_eq!((standing.limit, standing.remaining), (3, 2));
    assert_eq!(taken(&limits, Rule::AddressLogins, "a", 5).await, 2);
    let refused = limits.take(&all).await.unwrap_err().standing.unwrap();
    assert_eq!((refused.limit, refused.remaining), (3, 0));
    assert!((3_599..=3_600).contains(&refused.wait_seconds), "{refused:?}");
    assert_eq!(taken(&limits, Rule::AddressLogins, "b", 5).await, 3, "somebody else");
    assert_eq!(taken(&limits, Rule::Address, "a", 5).await, 3, "one was refused by another");
    assert_eq!(taken(&limits, Rule::Customer, "a", 50).await, 50, "no rate is no limit");
    assert_eq!(RateLimits::off().take(&all).await, Ok(None));
}

#[tokio::test]
async fn who_guesses_waits_and_nobody_else_does() {
    let rates = rates(&[(Rule::Guesses, "60/hour burst 12")]);
    let limits = RateLimits::new(rates, None, Vec::new());
    for _ in 0..5 {
        assert!(guesses_wrong(&limits, "ada", "203.0.113.1").await);
    }
    // A new address in the same network does not help, but the owner comes from elsewhere.
    assert!(!guesses_wrong(&limits, "ada", "203.0.113.1").await);
    assert!(!guesses_wrong(&limits, "ada", "203.0.113.2").await);
    assert!(guesses_wrong(&limits, "bob", "203.0.113.1").await);
    limits.guess("ada", peer("198.51.100.1")).await.unwrap().succeeded().await;
    sleep(Duration::from_millis(1_050)).await;
    assert!(guesses_wrong(&limits, "ada", "203.0.113.1").await, "after a second");
    let refused = limits.guess("ada", peer("203.0.113.1")).await.err().unwrap();
    assert_eq!(refused.retry_after(), Some(2), "and then after two");
    // Being right once, the place has a clean slate.
    sleep(Duration::from_millis(2_050)).await;
    limits.guess("ada", peer("203.0.113.1")).await.unwrap().succeeded().await;
    for _ in 0..4 {
        assert!(guesses_wrong(&limits, "ada", "203.0.113.1").await);
    }
    // From many places, each of which is new: all together have their limit.
    let mut wrong = 0;
    for n in 0..20 {
        wrong += u32::from(guesses_wrong(&limits, "ada", &format!("192.0.{n}.1")).await);
    }
    assert_eq!(wrong, 2, "10 of 12 were used up");
    // From where the account was opened before, it can be opened still.
    assert!(limits.guess("ada", peer("198.51.100.9")).await.is_ok());
    assert!(limits.guess("ada", peer("192.0.99.1")).await.is_err());
}

#[tokio::test]
async fn two_instances_share_what_redis_remembers_and_limit_alone_without_it() {
    let servers = Servers::start("limits", Duration::from_secs(1)).await;
    let rates = rates(&[
        (Rule::AddressLogins, "1/hour burst 6"),
        (Rule::Address, "1/hour burst 40"),
        (Rule::Guesses, "60/hour burst 60"),
    ]);
    let redis = &servers.redis;
    let [one, two] =
        [1, 2].map(|_| RateLimits::new(rates.clone(), Some(redis.clone()), vec![7; 32]));

    // What is tight is shared at once.
    assert_eq!(taken(&one, Rule::AddressLogins, "203.0.113.1", 4).await, 4);
    assert_eq!(taken(&two, Rule::AddressLogins, "203.0.113.1", 9).await, 2);
    assert!(!is_taken(&one, Rule::AddressLogins, "203.0.113.1").await);
    assert!(is_taken(&one, Rule::AddressLogins, "203.0.113.2").await);

    // What is generous is told in eighths.
    assert_eq!(taken(&one, Rule::Address, "203.0.113.1", 40).await, 40);
    let mut more = 0;
    for _ in 0..40 {
        more += usize::from(is_taken(&two, Rule::Address, "203.0.113.1").await);
        sleep(Duration::from_millis(10)).await;
    }
    assert!((5..10).contains(&more), "{more} instead of the first eighth");

    // Whoever is wrong here waits there, and whoever is right there may be wrong here.
    for _ in 0..5 {
        assert!(guesses_wrong(&one, "ada", "203.0.113.1").await);
    }
    assert!(!guesses_wrong(&two, "ada", "203.0.113.1").await);
    sleep(Duration::from_millis(1_050)).await;
    two.guess("ada", peer("203.0.113.1")).await.unwrap().succeeded().await;
    for _ in 0..5 {
        assert!(guesses_wrong(&one, "ada", "203.0.113.1").await);
    }
    assert!(!guesses_wrong(&two, "ada", "203.0.113.1").await);
    for n in 0..60 {
        guesses_wrong(&one, "ada", &format!("192.0.{n}.1")).await;
    }
    assert!(one.guess("ada", peer("192.0.99.1")).await.is_err());
    assert!(two.guess("ada", peer("192.0.99.1")).await.is_err());
    two.guess("bob", peer("198.51.100.1")).await.unwrap().succeeded().await;
    for n in 0..60 {
        guesses_wrong(&two, "bob", &format!("192.0.{n}.1")).await;
    }
    assert!(one.guess("bob", peer("198.51.100.2")).await.is_ok(), "known to the other one");
    assert_nothing_is_readable(redis).await;

    // Redis dies: each has what it remembers.
    servers.signal("KILL");
    assert!(!is_taken(&two, Rule::AddressLogins, "203.0.113.1").await);
    assert_eq!(taken(&two, Rule::AddressLogins, "203.0.113.9", 9).await, 6);
    assert!(!guesses_wrong(&two, "bob", "192.0.99.1").await);
}

/// Neither addresses nor accounts stand in Redis, and everything there has an end.
async fn assert_nothing_is_readable(redis: &Redis) {
    let keys = |mut connection| async move {
        redis::cmd("KEYS").arg("*").query_async::<Vec<String>>(&mut connection).await
    };
    let keys = redis.ask(keys).await.unwrap();
    assert!(keys.len() >= 5, "{keys:?}");
    for key in keys {
        let (shop, hash) = key.split_once("}:limits:").expect("a key of ours");
        assert!(shop.starts_with("doorbuster:{"), "{key}");
        assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        let left = move |mut connection| async move {
            redis::cmd("PTTL").arg(key).query_async::<i64>(&mut connection).await
        };
        assert!(redis.ask(left).await.unwrap() > 0);
    }
}
