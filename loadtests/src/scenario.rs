//! A scenario is a small file of data: what is done, when, with which goods, by how many, and
//! what the result must keep to.

mod file;
mod preset;

pub use file::{File, SHIPPED};
pub use preset::{Against, Preset};

use crate::arrivals::{Phase, Schedule};
use anyhow::ensure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Express orders.
    Buy,
    /// A shop's day: reads, searches, carts and orders.
    Mixed,
    /// The same or orders alone for long, to see whether it gets slower.
    Soak,
    /// More and more, until it is too much.
    Stairs,
}

impl Kind {
    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Mixed => "mixed",
            Self::Soak => "soak",
            Self::Stairs => "stairs",
        }
    }
}

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, for people.
    pub about: String,
    /// What is done.
    pub kind: Kind,
    /// The same number, the same requests at the same moments.
    #[serde(default = "one")]
    pub seed: u64,
    /// When requests leave: phases, one after the other.
    #[serde(default)]
    pub arrivals: Vec<Phase>,
    /// The steps, of stairs.
    pub stairs: Option<Stairs>,
    /// How often what is done; orders alone if it is missing.
    pub mix: Option<Mix>,
    /// What is sold and read.
    #[serde(default)]
    pub goods: Goods,
    /// Whose carts are filled.
    #[serde(default)]
    pub sessions: Sessions,
    /// How clients behave.
    #[serde(default)]
    pub clients: Clients,
    /// What fails the run.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// Where the files of traces are.
    #[serde(skip)]
    pub folder: PathBuf,
}

fn one() -> u64 {
    1
}

/// The steps of stairs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stairs {
    /// The rate of the first step, requests a second.
    pub from: f64,
    /// How much more each step has.
    pub step: f64,
    /// The rate of the last step.
    pub to: f64,
    /// How long a step takes.
    pub seconds: f64,
    /// A step whose 99th percentile is above it is over the knee.
    pub p99_ms_max: f64,
    /// A step that acknowledges a smaller share of what is offered is over the knee.
    #[serde(default = "most")]
    pub goodput_min: f64,
    /// Goes on beyond the knee, to the last step. Nobody comes again, so that a step gets what it
    /// offers and no more.
    #[serde(default)]
    pub goes_on: bool,
    /// Rates that are tried afterwards, each as long as a step.
    #[serde(default)]
    pub below: Vec<Below>,
}

/// A rate below the knee, as a share of it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Below {
    /// The share, 0 to 1.
    pub of_knee: f64,
    /// A 99th percentile above it fails the run, and so does a smaller share in good time than
    /// `goodput_min`.
    pub p99_ms_max: Option<f64>,
}

fn most() -> f64 {
    0.95
}

/// Weights: of so many requests in all, so many are of each sort.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Mix {
    pub products: f64,
    pub lists: f64,
    pub searches: f64,
    pub carts: f64,
    pub orders: f64,
}

/// What is sold and read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Goods {
    /// Products that are made for the run, each with one SKU; 0 takes what the shop has.
    pub fresh: usize,
    /// Products of the shop to choose from, at most, where none are made.
    pub products_max: usize,
    /// Units supplied of each; enough for everybody if it is missing.
    pub units: Option<i64>,
    /// Zipf's exponent: how much more the first are wanted than the others; 0 is all alike.
    pub zipf: f64,
    /// Lines of an order.
    pub lines: usize,
    /// Units of each line.
    pub quantity: i64,
}

impl Default for Goods {
    fn default() -> Self {
        Self { fresh: 1, products_max: 2_000, units: None, zipf: 0.0, lines: 1, quantity: 1 }
    }
}

/// Whose carts are filled.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// How many there are; they take turns.
    pub count: usize,
    /// Each waits at least so long between two additions.
    pub think_seconds: f64,
}

/// How clients behave.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// Connections in all.
    pub connections: usize,
    /// The share of requests that come on a new connection, 0 to 1.
    pub new_connections: f64,
    /// How long an attempt may take.
    pub timeout_seconds: f64,
    /// How long after its intended start a request is given up.
    pub patience_seconds: f64,
    /// Acknowledged orders that are sent once more afterwards, to compare the replays.
    pub ask_again: usize,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            connections: 256,
            new_connections: 0.0,
            timeout_seconds: 15.0,
            patience_seconds: 60.0,
            ask_again: 200,
        }
    }
}

/// What fails the run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// The 99th percentile of what was acknowledged, from the intended start.
    pub p99_ms_max: Option<f64>,
    /// The 99.9th percentile.
    pub p999_ms_max: Option<f64>,
    /// Acknowledged requests a second.
    pub acknowledged_per_second_min: Option<f64>,
    /// Requests without a final answer; 0 if it is missing.
    pub unknown_max: Option<u64>,
    /// The share of final refusals, 0 to 1.  If it is missing, only `out_of_stock` may be said, and
    /// only of goods that are scarce.
    pub refused_share_max: Option<f64>,
    /// The share of requests that the generator sent late itself, 0 to 1.
    pub late_share_max: Option<f64>,
    /// Of a soak: how many times the 99th percentile of the first fifth that of the last may be.
    pub p99_drift_max: Option<f64>,
    /// Of stairs: the least rate that must be below the knee.
    pub knee_per_second_min: Option<f64>,
    /// Of stairs that go on: what any step that offers more than the best one achieves must achieve
    /// of that, 0 to 1.
    pub achieved_of_best_min: Option<f64>,
    /// Of stairs that go on: how many times the best step's rate the last one must offer.
    pub offered_of_best_min: Option<f64>,
    /// Of stairs that go on: requests that may have been done, for all that clients were told.
    pub in_doubt_max: Option<u64>,
    /// Of stairs that go on: the 99th percentile of those that were told to come later.
    pub turned_away_p99_ms_max: Option<f64>,
    /// What an instance holds at most, MiB; missed if nobody knows.
    pub memory_mib_max: Option<f64>,
    /// Percentiles of one sort: `[thresholds.each.orders]`.
    pub each: BTreeMap<String, Percentiles>,
}

/// Limits of one sort of requests.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "as above")]
pub struct Percentiles {
    pub p99_ms_max: Option<f64>,
    pub p999_ms_max: Option<f64>,
}

impl Scenario {
    /// When requests leave; nothing of stairs, where each step has a schedule of its own.
    pub fn schedule(&self) -> anyhow::Result<Schedule> {
        Schedule::new(&self.arrivals, &self.folder)
    }

    /// How often what is done.
    pub fn mix(&self) -> Mix {
        self.mix.unwrap_or(Mix { orders: 1.0, ..Mix::default() })
    }

    /// The highest rate.
    pub fn peak(&self) -> anyhow::Result<f64> {
        Ok(self.stairs.as_ref().map_or(self.schedule()?.peak(), |stairs| stairs.to))
    }

    /// How many requests there will be at most, or nearly so.
    pub fn expected(&self) -> anyhow::Result<f64> {
        let steps: f64 = self.stairs.iter().flat_map(Stairs::all_rates).sum();
        let seconds = self.stairs.as_ref().map_or(0.0, |stairs| stairs.seconds);
        Ok(self.schedule()?.expected() + steps * seconds)
    }

    fn check(&self) -> anyhow::Result<()> {
        let is_stairs = self.kind == Kind::Stairs;
        ensure!(is_stairs == self.stairs.is_some(), "stairs: for kind = \"stairs\", and only it");
        ensure!(is_stairs == self.arrivals.is_empty(), "arrivals: for all kinds but stairs");
        ensure!(self.kind != Kind::Buy || self.mix.is_none(), "mix: not for kind = \"buy\"");
        let is_mixed = self.kind == Kind::Mixed;
        ensure!(!is_mixed || self.mix.is_some(), "mix: missing, for kind = \"mixed\"");
        if let Some(stairs) = &self.stairs {
            stairs.check()?;
        }
        self.schedule()?;
        self.mix().check(self)?;
        self.goods.check()?;
        self.clients.check()?;
        self.thresholds.check(self)
    }
}

impl Stairs {
    /// The rate of each step.
    pub fn rates(&self) -> impl Iterator<Item = f64> {
        let (from, step, to) = (self.from, self.step, self.to);
        (0..1_000).map(move |n| from + step * f64::from(n)).take_while(move |rate| *rate <= to)
    }

    /// The same, and those below the knee if that is the last one.
    fn all_rates(&self) -> impl Iterator<Item = f64> {
        self.rates().chain(self.below.iter().map(|below| below.of_knee * self.to))
    }

    fn check(&self) -> anyhow::Result<()> {
        for below in &self.below {
            share("stairs.below.of_knee", below.of_knee)?;
            positive("stairs.below.of_knee", below.of_knee)?;
            let limit = below.p99_ms_max;
            limit.map_or(Ok(()), |limit| positive("stairs.below.p99_ms_max", limit))?;
        }
        positive("stairs.from", self.from)?;
        positive("stairs.step", self.step)?;
        positive("stairs.seconds", self.seconds)?;
        positive("stairs.p99_ms_max", self.p99_ms_max)?;
        ensure!(self.to >= self.from && self.to.is_finite(), "stairs.to: not below stairs.from");
        share("stairs.goodput_min", self.goodput_min)
    }
}

impl Mix {
    /// Names and weights.
    pub fn weights(&self) -> [(&'static str, f64); 5] {
        [
            ("products", self.products),
            ("lists", self.lists),
            ("searches", self.searches),
            ("carts", self.carts),
            ("orders", self.orders),
        ]
    }

    fn check(&self, scenario: &Scenario) -> anyhow::Result<()> {
        let weights = self.weights();
        for (name, weight) in weights {
            ensure!(weight >= 0.0 && weight.is_finite(), "mix.{name}: zero or more");
        }
        let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
        positive("mix", all)?;
        let sessions = &scenario.sessions;
        let think = sessions.think_seconds;
        ensure!((0.0..=86_400.0).contains(&think), "sessions.think_seconds: up to a day");
        if self.carts > 0.0 {
            let count = sessions.count;
            ensure!((1..=100_000).contains(&count), "sessions.count: 1 to 100000 to fill carts");
            let additions = scenario.peak()? * self.carts / all;
            ensure!(
                additions * think <= count as f64,
                "sessions.count: {count} who think {think} s cannot add {additions:.0} times a \
                 second"
            );
        }
        Ok(())
    }
}

impl Goods {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.fresh <= 100_000, "goods.fresh: 100000 at most");
        ensure!(self.products_max > 0, "goods.products_max: at least one");
        ensure!(self.units.is_none_or(|units| units > 0), "goods.units: at least one");
        let known = self.fresh > 0 || self.units.is_none();
        ensure!(known, "goods.units: only of goods that are made, goods.fresh");
        ensure!((0.0..=10.0).contains(&self.zipf), "goods.zipf: 0 to 10");
        ensure!((1..=2_000).contains(&self.lines), "goods.lines: 1 to 2000");
        let enough = self.fresh == 0 || self.lines <= self.fresh;
        ensure!(enough, "goods.lines: not more than goods.fresh");
        ensure!((1..=1_000_000).contains(&self.quantity), "goods.quantity: 1 to 1000000");
        Ok(())
    }
}

impl Clients {
    fn check(&self) -> anyhow::Result<()> {
        let connections = (1..=20_000).contains(&self.connections);
        ensure!(connections, "clients.connections: 1 to 20000");
        share("clients.new_connections", self.new_connections)?;
        positive("clients.timeout_seconds", self.timeout_seconds)?;
        positive("clients.patience_seconds", self.patience_seconds)
    }
}

impl Thresholds {
    fn check_values(&self) -> anyhow::Result<()> {
        for (name, limit) in [
            ("p99_ms_max", self.p99_ms_max),
            ("p999_ms_max", self.p999_ms_max),
            ("acknowledged_per_second_min", self.acknowledged_per_second_min),
            ("p99_drift_max", self.p99_drift_max),
            ("knee_per_second_min", self.knee_per_second_min),
            ("turned_away_p99_ms_max", self.turned_away_p99_ms_max),
            ("offered_of_best_min", self.offered_of_best_min),
            ("memory_mib_max", self.memory_mib_max),
        ] {
            limit.map_or(Ok(()), |limit| positive(&format!("thresholds.{name}"), limit))?;
        }
        for (name, limit) in [
            ("refused_share_max", self.refused_share_max),
            ("late_share_max", self.late_share_max),
            ("achieved_of_best_min", self.achieved_of_best_min),
        ] {
            limit.map_or(Ok(()), |limit| share(&format!("thresholds.{name}"), limit))?;
        }
        Ok(())
    }

    fn check(&self, scenario: &Scenario) -> anyhow::Result<()> {
        self.check_values()?;
        let drift = self.p99_drift_max.is_none() || scenario.kind == Kind::Soak;
        ensure!(drift, "thresholds.p99_drift_max: for kind = \"soak\"");
        let knee = self.knee_per_second_min.is_none() || scenario.kind == Kind::Stairs;
        ensure!(knee, "thresholds.knee_per_second_min: for kind = \"stairs\"");
        let of_overload = [
            self.achieved_of_best_min,
            self.offered_of_best_min,
            self.turned_away_p99_ms_max,
            self.in_doubt_max.map(|max| max as f64),
        ];
        let goes_on = scenario.stairs.as_ref().is_some_and(|stairs| stairs.goes_on);
        ensure!(
            goes_on || of_overload.iter().all(Option::is_none),
            "thresholds.achieved_of_best_min, offered_of_best_min, turned_away_p99_ms_max, \
             in_doubt_max: for stairs.goes_on = true"
        );
        let weights = scenario.mix().weights();
        for name in self.each.keys() {
            let is_done = |(sort, weight): &(&str, f64)| *sort == name && *weight > 0.0;
            ensure!(
                weights.iter().any(is_done),
                "thresholds.each.{name}: the scenario does no such thing"
            );
        }
        Ok(())
    }
}

fn positive(name: &str, value: f64) -> anyhow::Result<()> {
    ensure!(value > 0.0 && value.is_finite(), "{name} = {value}: more than zero");
    Ok(())
}

fn share(name: &str, value: f64) -> anyhow::Result<()> {
    ensure!((0.0..=1.0).contains(&value), "{name} = {value}: 0 to 1");
    Ok(())
}

#[cfg(test)]
mod tests;
