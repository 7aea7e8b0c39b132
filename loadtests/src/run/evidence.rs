//! The orders of a run until they are judged: in memory, and beyond some thousands in a file, so
//! that a run may take as long as the disk lasts.

use crate::oracle::{self, Verdict};
use crate::record::{Record, Run, RunFile};
use crate::stored::Source;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

/// Orders in memory.
const HELD_MAX: usize = 50_000;

/// The orders of a run.
#[derive(Debug)]
pub struct Evidence {
    supplied: BTreeMap<String, i64>,
    /// The last ones.
    held: VecDeque<Record>,
    held_max: usize,
    since_us: Option<u64>,
    /// Where those before them are.
    spool: Option<RunFile>,
    /// Where they shall stay.
    keep: Option<PathBuf>,
    /// What went wrong first with the file.
    failed: Option<anyhow::Error>,
}

impl Evidence {
    /// None yet; they shall be kept in this file.
    pub fn new(supplied: BTreeMap<String, i64>, keep: Option<&Path>) -> Self {
        Self::holding(HELD_MAX, supplied, keep)
    }

    /// The same, with so many in memory at most.
    pub fn holding(
        held_max: usize,
        supplied: BTreeMap<String, i64>,
        keep: Option<&Path>,
    ) -> Self {
        let (keep, held) = (keep.map(Path::to_owned), VecDeque::new());
        Self { supplied, held, held_max, since_us: None, spool: None, keep, failed: None }
    }

    /// Adds one.
    pub fn add(&mut self, record: Record) {
        let since_us = oracle::since_us([&record].into_iter());
        self.since_us = Some(self.since_us.map_or(since_us, |first| first.min(since_us)));
        self.held.push_back(record);
        // One at a time: many at once would hold up the run, which would look like a slow shop.
        if self.held.len() > self.held_max && self.failed.is_none() {
            self.failed = self.spill(1).err();
        }
    }

    /// Nothing of the run is older, in microseconds since 1970.
    #[cfg(test)]
    pub fn since_us(&self) -> Option<u64> {
        self.since_us
    }

    /// Those that are in memory.
    pub fn held(&mut self) -> &mut [Record] {
        self.held.make_contiguous()
    }

    /// Moves the first so many from memory to the file, in the format of `--record`.
    fn spill(&mut self, count: usize) -> anyhow::Result<()> {
        let mut spool = match self.spool.take() {
            Some(spool) => spool,
            None => self.open()?,
        };
        for record in self.held.drain(..count) {
            spool.add(&record)?;
        }
        self.spool = Some(spool);
        Ok(())
    }

    fn open(&self) -> anyhow::Result<RunFile> {
        let path = self.keep.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("loadtests-{:x}.ndjson", rand::random::<u64>()))
        });
        RunFile::create(&path, &self.supplied)
    }

    /// Judges all orders, some thousands at a time, and the stock with the last ones.
    pub async fn judge(mut self, source: Source<'_>) -> anyhow::Result<Verdict> {
        if let Some(error) = self.failed.take() {
            return Err(error.context("orders are missing from the evidence"));
        }
        let mut verdict = Verdict::default();
        let mut last = Vec::from(std::mem::take(&mut self.held));
        let in_memory = last.len();
        if let Some(file) = &mut self.spool {
            file.flush()?;
            let mut spooled = RunFile::records(file.path())?;
            let mut disappointed = HashSet::new();
            loop {
                let mut records = Vec::new();
                for record in spooled.by_ref().take(self.held_max) {
                    let record = record?;
                    // The stock is judged with the first of each sort who was refused.
                    let is_refused = record.label() == "409 out_of_stock";
                    if is_refused && disappointed.insert(items(&record)) {
                        last.push(record);
                    } else {
                        records.push(record);
                    }
                }
                if records.is_empty() {
                    break;
                }
                let run = Run { supplied: BTreeMap::new(), records, since_us: self.since_us };
                add(&mut verdict, oracle::examine(&run, source).await?);
            }
        }
        let supplied = self.supplied.clone();
        let mut run = Run { supplied, records: last, since_us: self.since_us };
        add(&mut verdict, oracle::examine(&run, source).await?);
        if self.keep.is_some() {
            // The others are in the file already.
            run.records.truncate(in_memory);
            self.held = run.records.into();
            self.spill(self.held.len())?;
            if let Some(file) = self.spool.take() {
                file.finish()?;
            }
        }
        Ok(verdict)
    }

    /// Whether no order was placed.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.spool.is_none()
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if let (Some(file), None) = (&self.spool, &self.keep) {
            // Nobody asked for it; a temporary file that stays is no harm.
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// What was ordered, whoever it was.
fn items(record: &Record) -> String {
    let order: serde_json::Value = serde_json::from_slice(&record.sent).unwrap_or_default();
    order["items"].to_string()
}

fn add(all: &mut Verdict, more: Verdict) {
    let (sum, part) = (&mut all.checked, more.checked);
    sum.acknowledged += part.acknowledged;
    sum.refused += part.refused;
    sum.unknown += part.unknown;
    sum.unknown_with_order += part.unknown_with_order;
    sum.turned_away_with_order += part.turned_away_with_order;
    sum.replays += part.replays;
    sum.lines += part.lines;
    sum.skus += part.skus;
    for (what, count) in more.judged {
        *all.judged.entry(what).or_default() += count;
    }
    all.findings.extend(more.findings);
    all.unseen = more.unseen.or(all.unseen.take());
}
