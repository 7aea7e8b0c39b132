//! The tables that are printed at the end.

use super::commits::{Shape, What};
use super::database::SKUS;
use super::server::Journal;
use super::traffic::{Goods, Load};
use super::{Row, Sample};
use doorbuster::journal::Form;
use std::fmt;
use std::time::Duration;

/// The machine's load average over the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// The medians of all rows, with the limits among them.
pub struct Table<'r> {
    rows: &'r [(Row, Sample)],
    /// What is committed, and in which form, where it sets the limit.
    limit: (What, Form),
    /// What is asked for there.
    goods: Goods,
}

impl<'r> Table<'r> {
    pub fn of_orders(rows: &'r [(Row, Sample)]) -> Self {
        Self { rows, limit: (What::Spread, Form::Optimistic), goods: Goods::Spread }
    }

    pub fn of_carts(rows: &'r [(Row, Sample)]) -> Self {
        Self { rows, limit: (What::Carts, Form::Exact), goods: Goods::Carts }
    }

    fn commits(&self, sets_limit: bool) -> impl Iterator<Item = (Shape, f64)> {
        self.rows.iter().filter_map(move |(row, sample)| match row {
            Row::Commit(shape) => {
                let is_it = (shape.what, shape.form) == self.limit;
                (is_it == sets_limit).then_some((*shape, sample.per_second))
            }
            Row::Requests { .. } | Row::Costs(..) => None,
        })
    }

    fn requests(&self, wanted: (Journal, Goods)) -> impl Iterator<Item = (usize, &Sample)> {
        self.rows.iter().filter_map(move |(row, sample)| match row {
            Row::Requests { journal, goods, connections } => {
                ((*journal, *goods) == wanted).then_some((*connections, sample))
            }
            Row::Commit(_) | Row::Costs(..) => None,
        })
    }

    fn commit_limit(&self) -> f64 {
        self.commits(true).map(|(_, rate)| rate).fold(0.0, f64::max)
    }

    fn http_limit(&self) -> f64 {
        let rates = self.requests((Journal::Presumed, self.goods));
        rates.map(|(_, sample)| sample.per_second).fold(0.0, f64::max)
    }

    fn composed_limit(&self) -> f64 {
        1.0 / (1.0 / self.commit_limit() + 1.0 / self.http_limit())
    }

    fn write_commits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, form) = self.limit;
        let what = format!("{what:?}, {} form", form.as_str()).to_lowercase();
        writeln!(f, "\ncommit_limit {:>23} a second", thousands(self.commit_limit()))?;
        writeln!(f, "  prepared batches: {what}")?;
        writeln!(f, "  {:<16}{:>10}{:>10}{:>10}", "batches of", 50, 100, 250)?;
        let cells: Vec<(Shape, f64)> = self.commits(true).collect();
        for line in cells.chunk_by(|(a, _), (b, _)| a.connections == b.connections) {
            write!(f, "  {:<16}", format!("connections: {}", line[0].0.connections))?;
            line.iter().try_for_each(|(_, rate)| write!(f, "{:>10}", thousands(*rate)))?;
            writeln!(f)?;
        }
        for (shape, rate) in self.commits(false) {
            writeln!(f, "  {:<36}{:>10}", shape.to_string(), thousands(rate))?;
        }
        Ok(())
    }

    fn write_real(&self, f: &mut fmt::Formatter<'_>, goods: Goods) -> fmt::Result {
        for (connections, sample) in self.requests((Journal::Real, goods)) {
            let batches = &sample.batches;
            let share = |from: f64, to: f64| {
                let from = if from > 0.0 { batches.share_up_to(from) } else { 0.0 };
                format!("{:.0}", 100.0 * (batches.share_up_to(to) - from))
            };
            writeln!(
                f,
                "  {:<12}{connections:>6}{}{:>7.2}{:>8.0}{:>6.0}{:>7}{:>7}{:>8}{:>8}",
                name(goods),
                Speed(sample),
                sample.per_second / self.composed_limit(),
                batches.entries / batches.count.max(1.0),
                100.0 * batches.optimistic / batches.count.max(1.0),
                share(0.0, 10.0),
                share(10.0, 50.0),
                share(50.0, 100.0),
                share(100.0, 250.0),
            )?;
        }
        Ok(())
    }

    fn write_sold_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refusals = (Journal::Real, Goods::SoldOut);
        if self.requests(refusals).next().is_some() {
            writeln!(f, "\nsold out, beside http_limit")?;
        }
        for (connections, sample) in self.requests(refusals) {
            let ratio = sample.per_second / self.http_limit();
            writeln!(f, "  {:<12}{connections:>6}{}{ratio:>7.2}", "refusals", Speed(sample))?;
        }
        Ok(())
    }
}

fn name(goods: Goods) -> String {
    match goods {
        Goods::Spread => format!("{} SKUs", thousands(SKUS as f64)),
        Goods::Hot => "one hot SKU".to_owned(),
        Goods::SoldOut => "sold out".to_owned(),
        Goods::Lines(lines) => format!("{lines} lines"),
        Goods::Paid => "paid orders".to_owned(),
        Goods::Carts => "carts".to_owned(),
        Goods::Product => "a product".to_owned(),
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_commits(f)?;
        let http_limit = thousands(self.http_limit());
        writeln!(f, "\nhttp_limit {http_limit:>25} a second")?;
        writeln!(f, "  everything but the commit")?;
        writeln!(f, "  {:<12}{HEAD}", "")?;
        for (connections, sample) in self.requests((Journal::Presumed, self.goods)) {
            writeln!(f, "  {:<12}{connections:>6}{}", name(self.goods), Speed(sample))?;
        }
        let composed = thousands(self.composed_limit());
        writeln!(f, "\ncomposed limit {composed:>21} a second")?;
        writeln!(f, "\nthe real server, beside the composed limit; its time on the")?;
        writeln!(f, "  processors and PostgreSQL's for each answer; the batches' sizes in %")?;
        writeln!(
            f,
            "  {:<12}{HEAD}{:>7}{:>8}{:>6}{:>7}{:>7}{:>8}{:>8}",
            "", "ratio", "batch", "opt.", "≤ 10", "≤ 50", "≤ 100", "≤ 250"
        )?;
        self.write_real(f, self.goods)?;
        self.write_real(f, Goods::Hot)?;
        self.write_sold_out(f)
    }
}

/// Rows of real requests without a limit beside them.
pub struct Plain<'r>(pub &'r [(Row, Sample)]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n  {:<12}{HEAD}{:>11}{:>8}{:>9}{:>9}",
            "", "lines/s", "batch", "WAL B", "kept B"
        )?;
        for (row, sample) in self.0 {
            let Row::Requests { goods, connections, .. } = row else { continue };
            let lines = if let Goods::Lines(lines) = goods { *lines } else { 1 };
            let lines = thousands(sample.per_second * lines as f64);
            let batch = sample.batches.entries / sample.batches.count.max(1.0);
            let name = name(*goods);
            let each = |bytes: i64| thousands(bytes as f64 / sample.answers.max(1.0));
            let (wal, kept) = (each(sample.written.wal), each(sample.written.kept));
            write!(f, "  {name:<12}{connections:>6}{}{lines:>11}{batch:>8.0}", Speed(sample))?;
            writeln!(f, "{wal:>9}{kept:>9}")?;
        }
        Ok(())
    }
}

/// What one request of each kind costs.
pub struct Costs<'r>(pub &'r [(Row, Sample)]);

impl fmt::Display for Costs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!("{:>9}{:>8}{:>8}", "redis µs", "trips", "redis");
        let head = format!("{head}{:>10}{:>9}", "batch", "batch ms");
        writeln!(f, "\n  {:<18}{HEAD}{head}{:>9}{:>9}", "", "WAL B", "kept B")?;
        for (row, sample) in self.0 {
            let Row::Costs(goods, load) = row else { continue };
            let connections = match load {
                Load::Connections(count) => count.to_string(),
                Load::Rate(_) => String::new(),
            };
            let Sample { answers, used, batches, asked, written, .. } = sample;
            let each = |count: f64| count / answers.max(1.0);
            // The exact form reads before it writes.
            let exact = batches.count - batches.optimistic;
            let trips = each(asked.transactions as f64 + exact);
            let redis = each(used.redis.as_secs_f64() * 1e6);
            let of_batches = |sum: f64| sum / batches.count.max(1.0);
            let batch = of_batches(batches.entries);
            let millis = of_batches(batches.seconds) * 1e3;
            let (wal, kept) = (each(written.wal as f64), each(written.kept as f64));
            let commands = each(asked.commands as f64);
            write!(f, "  {:<18}{connections:>6}{}", name(*goods), Speed(sample))?;
            write!(f, "{redis:>9.1}{trips:>8.3}")?;
            writeln!(f, "{commands:>8.3}{batch:>10.1}{millis:>9.1}{wal:>9.0}{kept:>9.0}")?;
        }
        Ok(())
    }
}

/// Above the columns of [`Speed`].
const HEAD: &str = " conns   a second   p50 ms   p99 ms server µs postg. µs";

/// The columns that all requests have.
pub struct Speed<'s>(pub &'s Sample);

impl fmt::Display for Speed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let Sample { per_second, p50, p99, answers, used, .. } = self.0;
        let per_second = thousands(*per_second);
        write!(f, "{per_second:>11}{:>9.1}{:>9.1}", millis(*p50), millis(*p99))?;
        let micros = |used: Duration| used.as_secs_f64() * 1e6 / answers.max(1.0);
        write!(f, "{:>10.0}{:>10.0}", micros(used.server), micros(used.postgres))
    }
}

/// With commas.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
