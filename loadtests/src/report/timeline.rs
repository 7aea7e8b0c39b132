//! What happened in each second of a run, in all and by route.

use super::latency::{Latencies, Latency, ms};
use crate::record::{Ending, Outcome, Timing};
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

/// The seconds of a run on its way, from its start to the last answer.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    seconds: Vec<Second>,
    /// Microseconds, by the second in which requests were meant to start.
    latencies_us: Vec<Vec<u32>>,
    last_us: u64,
}

impl Timeline {
    /// Adds a request.
    pub fn add(&mut self, timing: Timing, ending: &Ending) {
        let answered = second_of(timing.answered_at_us);
        let intended = second_of(timing.answered_at_us.saturating_sub(timing.latency_us));
        for n in self.seconds.len()..=answered {
            self.seconds.push(Second { second: n, ..Second::default() });
            self.latencies_us.push(Vec::new());
        }
        let start = &mut self.seconds[intended];
        start.intended += 1;
        start.lag_max_ms = start.lag_max_ms.max(ms(timing.lag_us));
        // An hour is the most that 32 bits hold; nobody waits so long.
        self.latencies_us[intended].push(u32::try_from(timing.latency_us).unwrap_or(u32::MAX));
        self.seconds[answered].answer(ending);
        self.last_us = self.last_us.max(timing.answered_at_us);
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.latencies_us.iter().map(Vec::len).sum()
    }

    /// Microseconds from the start of the run to the last answer.
    pub fn last_us(&self) -> u64 {
        self.last_us
    }

    fn seconds(&self) -> anyhow::Result<Vec<Second>> {
        let seconds = self.seconds.iter().zip(&self.latencies_us);
        let with_latency = |(second, latencies): (&Second, &Vec<u32>)| {
            let latencies = Latencies::of(latencies.iter().copied().map(u64::from))?;
            Ok(Second { latency: latencies.percentiles(), ..second.clone() })
        };
        seconds.map(with_latency).collect()
    }
}

impl Route {
    /// What came of the requests of a route.
    pub fn of(route: &str, requests: &Timeline) -> anyhow::Result<Self> {
        let timeline = requests.seconds()?;
        let mut outcomes = BTreeMap::new();
        for (outcome, count) in timeline.iter().flat_map(|second| &second.outcomes) {
            *outcomes.entry(outcome.clone()).or_default() += count;
        }
        let latencies = requests.latencies_us.iter().flatten().copied().map(u64::from);
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
    fn answer(&mut self, ending: &Ending) {
        self.answered += 1;
        match self.outcomes.get_mut(&ending.label) {
            Some(count) => *count += 1,
            None => {
                self.outcomes.insert(ending.label.clone(), 1);
            }
        }
        match ending.outcome {
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
    use crate::oracle::Verdict;
    use crate::record::{Answer, Record, Timing};
    use crate::report::Report;

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
        let mut timeline = Timeline::default();
        records.iter().for_each(|record| timeline.add(record.timing, &record.ending()));
        let seconds = timeline.seconds().unwrap();
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
        let routes = Report::new("test", "test", &records, Verdict::default()).unwrap().routes;
        let names: Vec<_> = routes.iter().map(|route| route.route.as_str()).collect();
        assert_eq!(names, ["not recorded", "GET /a", "POST /b"]);
        let b = &routes[2];
        assert_eq!((b.acknowledged, b.refused, b.unknown), (0, 1, 1));
        assert_eq!((b.outcomes["404"], b.outcomes["unknown after 500"]), (1, 1));
        assert_eq!((b.latency.count, b.timeline.len()), (2, 2));
    }
}
