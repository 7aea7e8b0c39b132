//! From two looks at an instance or a machine to what happened between them.

use super::metrics::Scrape;
use super::{Instance, Monitored, process};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// The tiers that a value may be found in, as the product names them.
const TIERS: [&str; 4] = ["memory", "redis", "database", "stale"];
/// The journals that commit in batches.
const JOURNALS: [&str; 2] = ["orders", "carts"];

/// An instance at a moment, and in the second before it. `None`: not known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceSample {
    /// Seconds from the start of the run; before it, while it is prepared, they are negative.
    pub at_seconds: f64,
    /// CPUs in use.
    pub cpu_cores: Option<f64>,
    /// Memory held (RSS).
    pub resident_bytes: Option<u64>,
    /// Orders being placed.
    pub orders_in_flight: Option<f64>,
    /// Carts being read or changed.
    pub carts_in_flight: Option<f64>,
    /// Requests that wait for a pooled connection.
    pub pool_waiting: Option<f64>,
    /// By the journal's name.
    pub journals: BTreeMap<String, JournalSample>,
    /// Values found a second, by where they were found.
    pub cache_reads: BTreeMap<String, f64>,
}

/// A journal at a moment, and in the second before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalSample {
    /// Entries that wait for a batch.
    pub queue_entries: Option<f64>,
    /// Batches committed a second.
    pub batches_per_second: Option<f64>,
    /// Entries in a batch, on the average; `None` if there was no batch.
    pub batch_entries: Option<f64>,
    /// How long a batch took from BEGIN to the answer of COMMIT, on the average.
    pub commit_ms: Option<f64>,
}

/// The machine of the generator in the second before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineSample {
    /// Seconds from the start of the run.
    pub at_seconds: f64,
    /// CPUs in use by everybody.
    pub cpu_cores: Option<f64>,
    /// CPUs in use by the generator.
    pub generator_cpu_cores: Option<f64>,
    /// CPUs in use by PostgreSQL, if it runs here.
    pub postgres_cpu_cores: Option<f64>,
}

/// One look at an instance.
pub struct Raw {
    at: Instant,
    scrape: Option<Scrape>,
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
}

impl Raw {
    /// Looks at the process; the scrape was made just now.
    pub fn read(scrape: Option<Scrape>, pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            scrape,
            cpu_seconds: pid.and_then(process::cpu).map(|cpu| cpu.own_seconds),
            resident_bytes: pid.and_then(process::resident_bytes),
        }
    }

    /// What happened since an earlier look.
    pub fn since(&self, before: &Self, at_seconds: f64) -> InstanceSample {
        let elapsed = self.at.duration_since(before.at);
        let cores = |was, is| process::cores(was, is, elapsed);
        let gauge = |name| self.scrape.as_ref()?.sum(name, "");
        // A counter that fell belongs to an instance that was started again.
        let rise = |name: &str, label: &str| {
            let was = before.scrape.as_ref()?.sum(name, label).unwrap_or(0.0);
            let rise = self.scrape.as_ref()?.sum(name, label)? - was;
            (rise >= 0.0).then_some(rise)
        };
        let seconds = elapsed.as_secs_f64().max(0.001);
        let journals = JOURNALS.iter().map(|journal| {
            let label = format!("journal=\"{journal}\"");
            let mean = |name: &str| {
                let count =
                    rise(&format!("{name}_count"), &label).filter(|count| *count > 0.0)?;
                Some(rise(&format!("{name}_sum"), &label)? / count)
            };
            let batches = rise("doorbuster_journal_batch_entries_count", &label);
            let queue = "doorbuster_journal_queue_entries";
            let sample = JournalSample {
                queue_entries: self.scrape.as_ref().and_then(|scrape| scrape.sum(queue, &label)),
                batches_per_second: batches.map(|batches| batches / seconds),
                batch_entries: mean("doorbuster_journal_batch_entries"),
                commit_ms: mean("doorbuster_journal_commit_seconds").map(|mean| mean * 1_000.0),
            };
            ((*journal).to_owned(), sample)
        });
        let tiers = TIERS.iter().filter_map(|tier| {
            let reads = rise("doorbuster_cache_reads_total", &format!("tier=\"{tier}\""))?;
            Some(((*tier).to_owned(), reads / seconds))
        });
        InstanceSample {
            at_seconds,
            cpu_cores: before.cpu_seconds.zip(self.cpu_seconds).map(|(was, is)| cores(was, is)),
            resident_bytes: self.resident_bytes,
            orders_in_flight: gauge("doorbuster_orders_in_flight"),
            carts_in_flight: gauge("doorbuster_carts_in_flight"),
            pool_waiting: gauge("doorbuster_pool_waiting"),
            journals: journals.collect(),
            cache_reads: tiers.collect(),
        }
    }
}

/// One look at the machine.
pub struct Before {
    at: Instant,
    busy_seconds: Option<f64>,
    generator_seconds: Option<f64>,
    postgres_seconds: Option<f64>,
}

impl Before {
    /// Now.
    pub fn read(postgres: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            busy_seconds: process::machine_seconds().map(|(busy, _)| busy),
            generator_seconds: process::cpu(std::process::id()).map(|cpu| cpu.own_seconds),
            postgres_seconds: postgres.and_then(process::family_seconds),
        }
    }

    /// What happened until a later look.
    pub fn until(&self, now: &Self, at_seconds: f64) -> MachineSample {
        let elapsed = now.at.duration_since(self.at);
        let cores = |was: Option<f64>, is: Option<f64>| {
            was.zip(is).map(|(was, is)| process::cores(was, is, elapsed))
        };
        MachineSample {
            at_seconds,
            cpu_cores: cores(self.busy_seconds, now.busy_seconds),
            generator_cpu_cores: cores(self.generator_seconds, now.generator_seconds),
            postgres_cpu_cores: cores(self.postgres_seconds, now.postgres_seconds),
        }
    }
}

/// A figure of the whole run, to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Mean {
    /// What it is of.
    pub name: &'static str,
    /// In what it is measured.
    pub unit: &'static str,
    /// Over the run, if it is known.
    pub value: Option<f64>,
    /// Whether less is better.
    pub less_is_better: bool,
}

impl Monitored {
    /// CPUs of the generator's machine that others used, who have nothing to do with the run;
    /// `None` if nobody knows.
    pub fn others_cpu_cores(&self, seconds: f64) -> Option<f64> {
        let during = |at: f64| at > 0.0 && at <= seconds;
        let machine = |of: fn(&MachineSample) -> Option<f64>| {
            let samples = self.machine.iter().filter(|sample| during(sample.at_seconds));
            mean(samples.filter_map(of))
        };
        let instances = self.instances.iter().map(|instance| {
            let samples = instance.samples.iter().filter(|sample| during(sample.at_seconds));
            mean(samples.filter_map(|sample| sample.cpu_cores)).unwrap_or(0.0)
        });
        let ours = machine(|sample| sample.generator_cpu_cores).unwrap_or(0.0)
            + machine(|sample| sample.postgres_cpu_cores).unwrap_or(0.0)
            + instances.sum::<f64>();
        Some((machine(|sample| sample.cpu_cores)? - ours).max(0.0))
    }

    /// What an instance held at most, MiB, if it is known of each. `seconds` is the run's length.
    pub fn memory_mib_max(&self, seconds: f64) -> Option<f64> {
        let most = |instance: &Instance| {
            let samples = instance.samples.iter();
            let during = samples.filter(|sample| is_during(sample.at_seconds, seconds));
            during.filter_map(|sample| sample.resident_bytes).max()
        };
        let each: Vec<u64> = self.instances.iter().map(most).collect::<Option<_>>()?;
        each.into_iter().max().map(|bytes| bytes as f64 / 1_048_576.0)
    }

    /// Figures of the run, always the same ones in the same order. `seconds` is its length.
    pub fn means(&self, seconds: f64) -> Vec<Mean> {
        let during = |at: f64| is_during(at, seconds);
        let samples = || {
            let all = self.instances.iter().flat_map(|instance| &instance.samples);
            all.filter(move |sample| during(sample.at_seconds))
        };
        let machine = || self.machine.iter().filter(move |sample| during(sample.at_seconds));
        let orders = |of: fn(&JournalSample) -> Option<f64>| {
            mean(samples().filter_map(|sample| of(sample.journals.get("orders")?)))
        };
        let figure =
            |name, unit, value, less_is_better| Mean { name, unit, value, less_is_better };
        let cpu = mean(samples().filter_map(|sample| sample.cpu_cores));
        let postgres = mean(machine().filter_map(|sample| sample.postgres_cpu_cores));
        vec![
            figure("CPU of an instance, mean", "cores", cpu, true),
            figure("CPU of PostgreSQL, mean", "cores", postgres, true),
            figure("memory of an instance, max", "MiB", self.memory_mib_max(seconds), true),
            figure("commit of orders, mean", "ms", orders(|journal| journal.commit_ms), true),
            figure(
                "orders in a batch, mean",
                "orders",
                orders(|journal| journal.batch_entries),
                false,
            ),
        ]
    }
}

/// The last sample comes up to a second after the end.
fn is_during(at: f64, seconds: f64) -> bool {
    at > 0.0 && at <= seconds + 1.0
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str, seconds_later: u64) -> Raw {
        let scrape = Some(Scrape::parse(text));
        let at = Instant::now() + std::time::Duration::from_secs(seconds_later);
        Raw { at, cpu_seconds: Some(seconds_later as f64), ..Raw::read(scrape, None) }
    }

    #[test]
    fn means_are_those_of_the_batches_since_the_last_look() {
        let before = "doorbuster_journal_batch_entries_sum{journal=\"orders\"} 100
doorbuster_journal_batch_entries_count{journal=\"orders\"} 10
doorbuster_journal_commit_seconds_sum{journal=\"orders\"} 1
doorbuster_journal_commit_seconds_count{journal=\"orders\"} 10
doorbuster_cache_reads_total{cache=\"a\",tier=\"memory\"} 5";
        let after = "doorbuster_journal_batch_entries_sum{journal=\"orders\"} 400
doorbuster_journal_batch_entries_count{journal=\"orders\"} 14
doorbuster_journal_commit_seconds_sum{journal=\"orders\"} 1.02
doorbuster_journal_commit_seconds_count{journal=\"orders\"} 14
doorbuster_cache_reads_total{cache=\"a\",tier=\"memory\"} 25
doorbuster_orders_in_flight 3";
        let sample = raw(after, 2).since(&raw(before, 0), 7.0);
        let orders = sample.journals["orders"];
        assert_eq!(orders.batch_entries, Some(75.0));
        assert!((orders.commit_ms.unwrap() - 5.0).abs() < 1e-6);
        assert!((orders.batches_per_second.unwrap() - 2.0).abs() < 0.01);
        assert!((sample.cache_reads["memory"] - 10.0).abs() < 0.01);
        assert!((sample.cpu_cores.unwrap() - 1.0).abs() < 0.01);
        assert_eq!((sample.orders_in_flight, sample.pool_waiting), (Some(3.0), None));
        assert_eq!(sample.journals["carts"].commit_ms, None);
    }

    #[test]
    fn an_instance_that_was_started_again_has_no_negative_rates() {
        let text = |n| format!("doorbuster_cache_reads_total{{tier=\"memory\"}} {n}");
        let sample = raw(&text(1), 1).since(&raw(&text(9), 0), 1.0);
        assert!(sample.cache_reads.is_empty(), "{sample:?}");
    }

    #[test]
    fn means_leave_out_what_came_before_and_after_the_run() {
        let sample = |at_seconds, cores| InstanceSample {
            at_seconds,
            cpu_cores: Some(cores),
            ..InstanceSample::default()
        };
        let samples =
            vec![sample(-1.0, 9.0), sample(1.0, 1.0), sample(2.0, 2.0), sample(9.0, 9.0)];
        let instances = vec![super::super::Instance { samples, ..Default::default() }];
        let seen = Monitored { instances, ..Monitored::default() };
        assert_eq!(seen.means(2.0)[0].value, Some(1.5));
        assert_eq!(seen.means(2.0)[1].value, None);
    }

    #[test]
    fn what_the_run_did_not_use_was_used_by_others() {
        let samples = vec![InstanceSample {
            at_seconds: 1.0,
            cpu_cores: Some(0.5),
            ..InstanceSample::default()
        }];
        let machine = vec![MachineSample {
            at_seconds: 1.0,
            cpu_cores: Some(2.0),
            generator_cpu_cores: Some(0.25),
            postgres_cpu_cores: None,
        }];
        let instances = vec![super::super::Instance { samples, ..Default::default() }];
        let seen = Monitored { instances, machine };
        assert_eq!(seen.others_cpu_cores(2.0), Some(1.25));
        assert_eq!(Monitored::default().others_cpu_cores(2.0), None);
    }
}
