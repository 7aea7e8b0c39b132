//! The core, simulated: production's rules of orders and stock, its state machine of the journal,
//! and around them a database, instances, clients, a provider and a clock that exist only here.
//! Everything is decided by one seed, so that a failure can be seen again.
//!
//! [`model`] tries every order of events instead, of a small shop.
//!
//! `make simulate` runs it for as long as is wanted; `DOORBUSTER_SIMULATION_SEED` runs one seed.
#![allow(clippy::unwrap_used)]

mod books;
mod client;
mod database;
mod fault;
mod instance;
mod model;
mod plant;
mod provider;
mod shelf;
mod shop;

use fault::Faults;
use plant::Plant;
use shop::Shop;
use std::time::{Duration, Instant};

/// Steps of one history, before it comes to rest.
const STEPS: u32 = 3_000;

/// What must have happened in a long history.
const HAPPENINGS: [&str; 26] = [
    "acknowledged",
    "carts read again",
    "clicked twice",
    "commits in doubt",
    "commits that did not arrive",
    "counts read again",
    "duplicates in flight",
    "empty carts",
    "exact",
    "halved",
    "heard of what others did",
    "hung up",
    "keys used for something else",
    "kills",
    "optimistic",
    "orders cancelled",
    "orders confirmed",
    "orders expired",
    "orders paid",
    "payments resolved",
    "payments without an answer",
    "priced again",
    "refusals that wait",
    "refused by the view",
    "restarts of an actor",
    "sold out",
];

/// What is wrong, and where it was seen.
#[derive(Debug, Clone)]
struct Finding {
    step: u32,
    wrong: String,
}

/// Runs a history; how many steps it took.
fn simulate(seed: u64, steps: u32, faults: Faults, plant: Option<Plant>) -> Result<u32, Finding> {
    let mut shop = Shop::new(seed, faults, plant);
    for step in 0..steps {
        shop.step();
        if let Some(wrong) = shop.wrong() {
            return Err(Finding { step, wrong });
        }
    }
    let rest = shop.come_to_rest();
    match shop.wrong() {
        Some(wrong) => Err(Finding { step: steps, wrong }),
        None => Ok(steps + rest),
    }
}

/// The shortest history with the fewest faults that still fails, of those tried.
fn shrink(seed: u64, first: Finding, plant: Option<Plant>) -> String {
    let (mut faults, mut found) = (Faults::ALL, first);
    for without in Faults::ALL.each() {
        let fewer = faults.without(without);
        if let Err(still) = simulate(seed, STEPS, fewer, plant) {
            (faults, found) = (fewer, still);
        }
    }
    while found.step > 0 {
        match simulate(seed, found.step, faults, plant) {
            Err(sooner) if sooner.step < found.step => found = sooner,
            _ => break,
        }
    }
    format!(
        "{} (step {} of DOORBUSTER_SIMULATION_SEED={seed}, with {faults:?})",
        found.wrong, found.step
    )
}

fn number(name: &str) -> Option<u64> {
    std::env::var(format!("DOORBUSTER_SIMULATION_{name}")).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_fails_whenever_the_invariants_hold() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = rand::random::<u64>() >> 1;
            first..u64::MAX
        }
    };
    let time = Duration::from_secs(number("SECONDS").unwrap_or(10));
    let (begun, mut steps, mut histories) = (Instant::now(), 0_u64, 0);
    for seed in seeds {
        match simulate(seed, STEPS, Faults::ALL, None) {
            Ok(taken) => steps += u64::from(taken),
            Err(finding) => panic!("{}", shrink(seed, finding, None)),
        }
        histories += 1;
        if begun.elapsed() > time {
            break;
        }
    }
    let per_minute = steps as f64 / begun.elapsed().as_secs_f64() * 60.0;
    println!("{histories} histories, {steps} steps, {:.1} million a minute", per_minute / 1e6);
}

#[test]
fn the_same_seed_is_the_same_history() {
    let trace = |seed| {
        let mut shop = Shop::new(seed, Faults::ALL, None);
        (0..STEPS).for_each(|_| shop.step());
        shop.summary()
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn every_kind_of_fault_happens_and_work_gets_done() {
    let mut shop = Shop::new(1, Faults::ALL, None);
    (0..20 * STEPS).for_each(|_| shop.step());
    shop.come_to_rest();
    assert_eq!(shop.wrong(), None);
    let summary = shop.summary();
    println!("{summary:#?}");
    for happening in HAPPENINGS {
        assert!(summary.get(happening) > Some(&0), "{happening}: {summary:#?}");
    }
}

#[test]
fn every_planted_fault_is_found() {
    for plant in Plant::ALL {
        let found = (0..3_000).find_map(|seed| {
            simulate(seed, STEPS, Faults::ALL, Some(*plant)).err().map(|found| (seed, found))
        });
        let (seed, found) = found.unwrap_or_else(|| panic!("{plant:?} was not found"));
        println!("{plant:?} in history {seed}: {}", shrink(seed, found, Some(*plant)));
    }
}
