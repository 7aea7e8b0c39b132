//! What happened in each second of a run, in all and by route.

use super::latency::{Latencies, Latency, ms};
use crate::record::{Outcome, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One second of a run.
///
/// Intended starts, latency and lag are those of the requests that were meant to start in it,
/// because that is what somebody met who came then; answers are those that came in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its number, from 0.
    pub second: usize,
    /// Requests meant to start.
    pub intended: u64,
    /// Last answers that came, or were given up.
    pub answered: u64,
    /// Of these: the ones that say that it is done.
    pub acknowledged: u64,
    /// Of these: the ones that are a final no.
    pub refused: u64,
    /// Of these: the ones that leave it open.
    pub unknown: u64,
    /// Of these, by how they ended.
    pub outcomes: BTreeMap<String, u64>,
    /// From the intended start to the last answer, retries included.
    pub latency: Latency,
    /// The generator's own lateness at most, in milliseconds.
    pub lag_max_ms: f64,
}

/// The requests of one route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// As in `GET /v1/products/{id}`.
    pub route: String,
    /// By how they ended.
    pub outcomes: BTreeMap<String, u64>,
    /// How many were acknowledged.
    pub acknowledged: u64,
    /// How many were refused.
    pub refused: u64,
    /// How many were left open.
    pub unknown: u64,
    /// From the intended start to the last answer, whatever that was.
    pub latency: Latency,
    /// Second by second.
    pub timeline: Vec<Second>,
}

/// The seconds of these requests, from the start of the run to the last answer.
pub fn seconds(records: &[&Record]) -> anyhow::Result<Vec<Second>> {
    let mut seconds: Vec<Second> = Vec::new();
    let mut latencies: Vec<Vec<u64>> = Vec::new();
    for record in records {
        let timing = record.timing;
        let answered = second_of(timing.answered_at_us);
        let intended = second_of(timing.answered_at_us.saturating_sub(timing.latency_us));
        for n in seconds.len()..=answered {
            seconds.push(Second { second: n, ..Second::default() });
            latencies.push(Vec::new());
        }
        seconds[intended].intended += 1;
        seconds[intended].lag_max_ms = seconds[intended].lag_max_ms.max(ms(timing.lag_us));
        latencies[intended].push(timing.latency_us);
        seconds[answered].answer(record);
    }
    for (second, latencies) in seconds.iter_mut().zip(latencies) {
        second.latency = Latencies::of(latencies)?.percentiles();
    }
    Ok(seconds)
}

/// The same by route, in the order of their names.
pub fn routes(records: &[&Record]) -> anyhow::Result<Vec<Route>> {
    let mut by_route: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_route.entry(&record.route).or_default().push(record);
    }
    by_route.into_iter().map(|(route, records)| Route::of(route, &records)).collect()
}

impl Route {
    fn of(route: &str, records: &[&Record]) -> anyhow::Result<Self> {
        let timeline = seconds(records)?;
        let mut outcomes = BTreeMap::new();
        for (outcome, count) in timeline.iter().flat_map(|second| &second.outcomes) {
            *outcomes.entry(outcome.clone()).or_default() += count;
        }
        let latencies = records.iter().map(|record| record.timing.latency_us);
        Ok(Self {
            route: if route.is_empty() { "not recorded".to_owned() } else { route.to_owned() },
            outcomes,
            acknowledged: timeline.iter().map(|second| second.acknowledged).sum(),
            refused: timeline.iter().map(|second| second.refused).sum(),
            unknown: timeline.iter().map(|second| second.unknown).sum(),
            latency: Latencies::of(latencies)?.percentiles(),
            timeline,
        })
    }
}

impl Second {
    fn answer(&mut self, record: &Record) {
        self.answered += 1;
        *self.outcomes.entry(record.label()).or_default() += 1;
        match record.outcome() {
            Outcome::Acknowledged => self.acknowledged += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }
}

fn second_of(us: u64) -> usize {
    (us / 1_000_000) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Answer, Timing};

    fn record(route: &str, status: u16, intended_ms: u64, latency_ms: u64) -> Record {
        let timing = Timing {
            lag_us: 3_000,
            latency_us: latency_ms * 1_000,
            answered_at_us: (intended_ms + latency_ms) * 1_000,
        };
        let answers = vec![Answer { status, ..Answer::default() }];
        Record { route: route.into(), answers, timing, ..Record::default() }
    }

    #[test]
    fn a_slow_answer_counts_where_it_came_and_its_latency_where_it_was_meant_to_start() {
        let records = [record("GET /a", 200, 900, 2_200), record("GET /a", 200, 100, 5)];
        let seconds = seconds(&records.iter().collect::<Vec<_>>()).unwrap();
        let counts: Vec<_> =
            seconds.iter().map(|second| (second.intended, second.answered)).collect();
        assert_eq!(counts, [(2, 1), (0, 0), (0, 0), (0, 1)]);
        assert!(seconds[0].latency.max_ms > 2_190.0 && seconds[3].latency.count == 0);
        assert_eq!((seconds[0].lag_max_ms, seconds[3].second), (3.0, 3));
    }

    #[test]
    fn every_request_is_in_one_route_and_one_outcome() {
        let records = [
            record("GET /a", 200, 0, 1),
            record("POST /b", 404, 0, 2),
            record("POST /b", 500, 1_000, 3),
            record("", 200, 0, 1),
        ];
        let routes = routes(&records.iter().collect::<Vec<_>>()).unwrap();
        let names: Vec<_> = routes.iter().map(|route| route.route.as_str()).collect();
        assert_eq!(names, ["not recorded", "GET /a", "POST /b"]);
        let b = &routes[2];
        assert_eq!((b.acknowledged, b.refused, b.unknown), (0, 1, 1));
        assert_eq!((b.outcomes["404"], b.outcomes["unknown after 500"]), (1, 1));
        assert_eq!((b.latency.count, b.timeline.len()), (2, 2));
    }
}
