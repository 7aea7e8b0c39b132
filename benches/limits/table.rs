//! The table that is printed at the end.

use super::commits::Shape;
use super::server::Journal;
use super::traffic::Goods;
use super::{Row, Sample};
use doorbuster::journal::Form;
use std::fmt;
use std::time::Duration;

/// The machine's load average over the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// The medians of all rows.
pub struct Table<'r> {
    rows: &'r [(Row, Sample)],
}

impl<'r> Table<'r> {
    pub fn of(rows: &'r [(Row, Sample)]) -> Self {
        Self { rows }
    }

    fn commits(&self, is_plain: bool) -> impl Iterator<Item = (Shape, f64)> {
        self.rows.iter().filter_map(move |(row, sample)| match row {
            Row::Commit(shape) => {
                let plain = shape.form == Form::Optimistic && !shape.is_hot;
                (plain == is_plain).then_some((*shape, sample.per_second))
            }
            Row::Requests { .. } => None,
        })
    }

    fn requests(&self, wanted: (Journal, Goods)) -> impl Iterator<Item = (usize, &Sample)> {
        self.rows.iter().filter_map(move |(row, sample)| match row {
            Row::Requests { journal, goods, connections } => {
                ((*journal, *goods) == wanted).then_some((*connections, sample))
            }
            Row::Commit(_) => None,
        })
    }

    fn commit_limit(&self) -> f64 {
        self.commits(true).map(|(_, rate)| rate).fold(0.0, f64::max)
    }

    fn http_limit(&self) -> f64 {
        let rates = self.requests((Journal::Presumed, Goods::Spread));
        rates.map(|(_, sample)| sample.per_second).fold(0.0, f64::max)
    }

    fn composed_limit(&self) -> f64 {
        1.0 / (1.0 / self.commit_limit() + 1.0 / self.http_limit())
    }

    fn write_commits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ncommit_limit {:>23} orders/s", thousands(self.commit_limit()))?;
        writeln!(f, "  prepared batches of one-line orders, 1,000 SKUs, optimistic form")?;
        writeln!(f, "  {:<16}{:>10}{:>10}{:>10}", "batches of", 50, 100, 250)?;
        let cells: Vec<(Shape, f64)> = self.commits(true).collect();
        for line in cells.chunk_by(|(a, _), (b, _)| a.connections == b.connections) {
            write!(f, "  {:<16}", format!("connections: {}", line[0].0.connections))?;
            line.iter().try_for_each(|(_, rate)| write!(f, "{:>10}", thousands(*rate)))?;
            writeln!(f)?;
        }
        for (shape, rate) in self.commits(false) {
            let name = if shape.is_hot { "one hot SKU" } else { "exact form" };
            let Shape { connections, batch, .. } = shape;
            let name = format!("{name}, {connections} connections × {batch}");
            writeln!(f, "  {name:<36}{:>10}", thousands(rate))?;
        }
        Ok(())
    }

    fn write_express(&self, f: &mut fmt::Formatter<'_>, name: &str, goods: Goods) -> fmt::Result {
        for (connections, sample) in self.requests((Journal::Real, goods)) {
            let batches = &sample.batches;
            let share = |from: f64, to: f64| {
                let from = if from > 0.0 { batches.share_up_to(from) } else { 0.0 };
                format!("{:.0}", 100.0 * (batches.share_up_to(to) - from))
            };
            writeln!(
                f,
                "  {name:<12}{connections:>6}{}{:>7.2}{:>8.0}{:>6.0}{:>7}{:>7}{:>8}{:>8}{:>9.4}",
                Speed(sample),
                sample.per_second / self.composed_limit(),
                batches.entries / batches.count.max(1.0),
                100.0 * batches.optimistic / batches.count.max(1.0),
                share(0.0, 10.0),
                share(10.0, 50.0),
                share(50.0, 100.0),
                share(100.0, 250.0),
                sample.commits_per_order,
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_commits(f)?;
        let http_limit = thousands(self.http_limit());
        writeln!(f, "\nhttp_limit {http_limit:>25} orders/s")?;
        writeln!(f, "  everything but the commit")?;
        let head = format!(
            "{:>6}{:>11}{:>9}{:>9}{:>10}{:>10}",
            "conns", "a second", "p50 ms", "p99 ms", "server µs", "postg. µs"
        );
        writeln!(f, "  {:<12}{head}", "")?;
        for (connections, sample) in self.requests((Journal::Presumed, Goods::Spread)) {
            writeln!(f, "  {:<12}{connections:>6}{}", "1,000 SKUs", Speed(sample))?;
        }
        let composed = thousands(self.composed_limit());
        writeln!(f, "\ncomposed limit {composed:>21} orders/s")?;
        writeln!(f, "\nexpress: the real server, beside the composed limit; its time on the")?;
        writeln!(f, "  processors and PostgreSQL's for each order; the batches' sizes in %")?;
        writeln!(
            f,
            "  {:<12}{head}{:>7}{:>8}{:>6}{:>7}{:>7}{:>8}{:>8}{:>9}",
            "", "ratio", "batch", "opt.", "≤ 10", "≤ 50", "≤ 100", "≤ 250", "xact/o."
        )?;
        self.write_express(f, "1,000 SKUs", Goods::Spread)?;
        self.write_express(f, "one hot SKU", Goods::Hot)?;
        writeln!(f, "\nsold out, beside http_limit")?;
        for (connections, sample) in self.requests((Journal::Real, Goods::SoldOut)) {
            let ratio = sample.per_second / self.http_limit();
            writeln!(f, "  {:<12}{connections:>6}{}{ratio:>7.2}", "refusals", Speed(sample))?;
        }
        Ok(())
    }
}

/// The columns that all requests have.
pub struct Speed<'s>(pub &'s Sample);

impl fmt::Display for Speed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let Sample { per_second, p50, p99, orders, used, .. } = self.0;
        let per_second = thousands(*per_second);
        write!(f, "{per_second:>11}{:>9.1}{:>9.1}", millis(*p50), millis(*p99))?;
        let micros = |used: Duration| used.as_secs_f64() * 1e6 / orders.max(1.0);
        write!(f, "{:>10.0}{:>10.0}", micros(used.server), micros(used.postgres))
    }
}

fn thousands(number: f64) -> String {
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
