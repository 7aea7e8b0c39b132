//! The summary of a run, for a terminal.

use super::Report;
use super::latency::{LATE_MS, Lag, Latency};
use crate::oracle::Verdict;
use std::fmt;

/// Findings that are printed; the JSON has them all.
const FINDINGS_SHOWN: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.scenario, self.run)?;
        if !self.about.is_empty() {
            writeln!(f, "  {}", self.about)?;
        }
        write_sorts(f, self)?;
        self.stairs.as_ref().map_or(Ok(()), |stairs| write!(f, "{stairs}"))?;
        if let Some(shot) = self.killed {
            writeln!(
                f,
                "  killed        process {} with {} requests acknowledged and {} in flight",
                shot.pid, shot.acknowledged, shot.in_flight
            )?;
        }
        for (outcome, count) in &self.outcomes {
            writeln!(f, "  {count:>12}  {outcome}")?;
        }
        writeln!(
            f,
            "  throughput    {:.0} acknowledged/s, {:.0} answered/s over {:.2} s",
            self.acknowledged_per_second, self.answered_per_second, self.seconds
        )?;
        for (label, count) in &self.turned_away {
            writeln!(f, "  came again    after {count} × {label}")?;
        }
        if self.lost > 0 {
            writeln!(f, "  came again    after {} × no answer", self.lost)?;
        }
        let columns = ["p50", "p90", "p99", "p99.9", "max"];
        write!(f, "  latency, ms ")?;
        columns.iter().try_for_each(|column| write!(f, "{column:>11}"))?;
        writeln!(f)?;
        write_row(f, &self.acknowledged_latency, "acknowledged")?;
        write_row(f, &self.refused_latency, "refused")?;
        write_lag(f, &self.lag)?;
        write_verdict(f, &self.verdict)?;
        self.limits_kept.iter().try_for_each(|kept| writeln!(f, "  kept          {kept}"))?;
        self.limits_missed
            .iter()
            .try_for_each(|missed| writeln!(f, "  MISSED        {missed}"))?;
        self.comparison.as_ref().map_or(Ok(()), |comparison| write!(f, "{comparison}"))
    }
}

fn write_sorts(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    if report.sorts.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "  by sort          requests    refused    unknown     p50, ms     p99, ms   p99.9, ms"
    )?;
    for (name, sort) in &report.sorts {
        let Latency { p50_ms, p99_ms, p999_ms, .. } = sort.acknowledged_latency;
        write!(f, "  {name:12} {:>12}{:>11}{:>11}", sort.count, sort.refused, sort.unknown)?;
        writeln!(f, "{p50_ms:>12.2}{p99_ms:>12.2}{p999_ms:>12.2}")?;
    }
    Ok(())
}

fn write_row(f: &mut fmt::Formatter<'_>, latency: &Latency, name: &str) -> fmt::Result {
    if latency.count == 0 {
        return Ok(());
    }
    write!(f, "  {name:12}")?;
    let Latency { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = *latency;
    for value in [p50_ms, p90_ms, p99_ms, p999_ms, max_ms] {
        write!(f, "{value:>11.2}")?;
    }
    writeln!(f)
}

fn write_lag(f: &mut fmt::Formatter<'_>, lag: &Lag) -> fmt::Result {
    let (max, share) = (lag.max_ms, lag.late_share * 100.0);
    write!(f, "  lag           {max:.1} ms at most, {share:.1} % later than {LATE_MS} ms")?;
    if lag.is_too_much() {
        write!(f, "  GENERATOR LATE: no connection or CPU was free")?;
    }
    writeln!(f)
}

/// The oracle's part of the summary.
pub fn write_verdict(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    write_judged(f, verdict)?;
    if let Some(unseen) = &verdict.unseen {
        writeln!(f, "  not judged    {unseen}")?;
    }
    for finding in verdict.findings.iter().take(FINDINGS_SHOWN) {
        writeln!(f, "  WRONG         {finding}")?;
    }
    match verdict.findings.len() {
        0 => writeln!(f, "                everything that was acknowledged is true"),
        all if all > FINDINGS_SHOWN => {
            writeln!(f, "                … {all} findings in all")
        }
        _ => Ok(()),
    }
}

/// How much was judged, of orders and of everything else.
fn write_judged(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    let judged: Vec<String> =
        verdict.judged.iter().map(|(what, count)| format!("{count} {what}")).collect();
    if !judged.is_empty() {
        writeln!(f, "  judged        {}", judged.join(", "))?;
    }
    let checked = &verdict.checked;
    if checked.acknowledged + checked.refused + checked.unknown == 0 {
        return Ok(());
    }
    writeln!(
        f,
        "  oracle        {} acknowledged with {} lines and {} replays, {} refused, {} unknown \
         ({} with an order), {} SKUs",
        checked.acknowledged,
        checked.lines,
        checked.replays,
        checked.refused,
        checked.unknown,
        checked.unknown_with_order,
        checked.skus
    )
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_verdict(f, self)
    }
}
