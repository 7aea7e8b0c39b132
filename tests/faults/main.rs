//! What is acknowledged stays true, whatever is killed or cut. Faults are killed processes and
//! cut connections, never mocks; a test fails if its fault did not happen.
#![allow(clippy::unwrap_used)]

#[path = "../harness/mod.rs"]
mod harness;

mod backup;
mod between;
mod carts;
mod clocks;
mod cluster;
mod connections;
mod failover;
mod instances;
mod line;
mod network;
mod partitions;
mod pooler;
mod preloaded;
mod proxy;
mod reader;
mod replica;
mod rollout;
mod row;
mod sale;
mod services;
mod shelf;
mod shopper;
mod storage;
mod strikes;

use std::path::PathBuf;
use std::sync::LazyLock;

/// Where to keep what everybody sent and received, if anywhere: `DOORBUSTER_FAULTS_HISTORIES`, or
/// the folder for temporary files once the test fails.
fn histories() -> Option<PathBuf> {
    let configured = std::env::var_os("DOORBUSTER_FAULTS_HISTORIES").map(PathBuf::from);
    configured.or_else(|| std::thread::panicking().then(std::env::temp_dir))
}

/// Says what chooses where something is left to chance: `DOORBUSTER_FAULTS_SEED`, or any; one for
/// all tests.
fn announced_seed() -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| {
        let configured = std::env::var("DOORBUSTER_FAULTS_SEED");
        configured.map_or_else(|_| rand::random(), |seed| seed.parse().unwrap())
    });
    println!("DOORBUSTER_FAULTS_SEED={}", *SEED);
    *SEED
}
