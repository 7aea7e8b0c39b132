//! When requests leave.  It is decided before the first one does and depends on the seed alone:
//! nothing that a server does has a part in it.

use anyhow::{Context, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A phase lasts a day at most: longer ones are typing errors.
const SECONDS_MAX: f64 = 86_400.0;
/// No generator here comes near to it.
const RATE_MAX: f64 = 1_000_000.0;

/// When requests shall leave.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// Everybody at random moments within a window; zero is all at once.
    Window(Duration),
    /// So many a second, evenly.
    Rate(f64),
    /// At these moments, ascending; requests beyond them leave with the last one.
    At(Vec<Duration>),
    /// Whenever a connection is free: a closed loop, latency counts from the departure.
    Unpaced,
}

impl Arrivals {
    /// The intended starts of `count` requests, ascending; `None` when it has no plan.
    pub fn schedule(self, count: usize, dice: &mut StdRng) -> Option<Vec<Duration>> {
        let mut starts: Vec<Duration> = match self {
            Self::Window(window) => {
                (0..count).map(|_| window.mul_f64(dice.random::<f64>())).collect()
            }
            Self::Rate(per_second) => {
                (0..count).map(|n| Duration::from_secs_f64(n as f64 / per_second)).collect()
            }
            Self::At(mut starts) => {
                let last = starts.last().copied().unwrap_or_default();
                starts.resize(count, last);
                starts
            }
            Self::Unpaced => return None,
        };
        starts.sort_unstable();
        Some(starts)
    }
}

/// How the rate goes within a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `rate` all the time, evenly.
    #[default]
    Constant,
    /// From `rate` to `to`, in a straight line.
    Ramp,
    /// As many people do who do not know of each other: `rate` on average, with exponential gaps;
    /// with `to`, from `rate` to `to`.
    Poisson,
    /// `rate`, and in the middle `peak` for `peak_seconds`.
    Spike,
    /// At the moments in `offsets` or `file`, in seconds from the beginning of the phase.
    Trace,
}

/// One part of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Phase {
    /// How the rate goes.
    pub shape: Shape,
    /// Requests a second.
    pub rate: Option<f64>,
    /// How long; a trace ends with its last request, unless this says later.
    pub seconds: Option<f64>,
    /// Requests a second at the end, of a ramp.
    pub to: Option<f64>,
    /// Requests a second in the middle, of a spike.
    pub peak: Option<f64>,
    /// How long that is.
    pub peak_seconds: Option<f64>,
    /// The moments of a trace.
    pub offsets: Option<Vec<f64>>,
    /// A file of them, one in each line.
    pub file: Option<PathBuf>,
}

/// A stretch of time in which the rate goes in a straight line.
#[derive(Debug, Clone, PartialEq)]
struct Stretch {
    from: f64,
    to: f64,
    seconds: f64,
    is_random: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Stretch(Stretch),
    /// Moments, ascending, and how long it takes in all.
    Trace(Vec<f64>, f64),
}

/// A schedule of phases, one after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedule {
    parts: Vec<Part>,
}

impl Schedule {
    /// Reads the phases; `folder` is where the files of traces are.
    pub fn new(phases: &[Phase], folder: &Path) -> anyhow::Result<Self> {
        let mut parts = Vec::new();
        for (n, phase) in phases.iter().enumerate() {
            parts.extend(phase.parts(folder).with_context(|| format!("arrivals.{n}"))?);
        }
        Ok(Self { parts })
    }

    /// So many a second, evenly or as strangers do.
    pub fn constant(rate: f64, seconds: f64, is_random: bool) -> Self {
        Self { parts: vec![Part::Stretch(Stretch { from: rate, to: rate, seconds, is_random })] }
    }

    /// How long it takes.
    pub fn seconds(&self) -> f64 {
        self.parts.iter().map(Part::seconds).sum()
    }

    /// How many requests to expect; exactly so many where there is no chance in it.
    pub fn expected(&self) -> f64 {
        self.parts.iter().map(Part::area).sum()
    }

    /// The highest rate; of a trace its average.
    pub fn peak(&self) -> f64 {
        let peak = |part: &Part| match part {
            Part::Stretch(stretch) => stretch.from.max(stretch.to),
            Part::Trace(offsets, seconds) => offsets.len() as f64 / seconds.max(1.0),
        };
        self.parts.iter().map(peak).fold(0.0, f64::max)
    }

    /// The intended starts, ascending.  Made one by one, so that a day of them needs no memory.
    pub fn starts(self, dice: StdRng) -> Starts {
        let mut starts =
            Starts { parts: self.parts.into_iter(), part: None, ends: 0.0, next: 0.0, dice };
        starts.turn();
        starts
    }
}

/// The intended starts of a [`Schedule`].
#[derive(Debug)]
pub struct Starts {
    parts: std::vec::IntoIter<Part>,
    /// What is going on, and when it began.
    part: Option<(f64, Part)>,
    /// When that ends.
    ends: f64,
    /// Requests to expect until the next one comes: its distance in the area below the rate; in a
    /// trace the number of the next line.
    next: f64,
    dice: StdRng,
}

impl Starts {
    /// Goes on to the next part.
    fn turn(&mut self) {
        // What is missing until the next request goes on into the next stretch.
        let missing = match &self.part {
            Some((_, part @ Part::Stretch(_))) => Some((self.next - part.area()).max(0.0)),
            _ => None,
        };
        self.part = self.parts.next().map(|part| {
            let began = self.ends;
            self.ends += part.seconds();
            (began, part)
        });
        self.next = match (&self.part, missing) {
            (Some((_, Part::Stretch(next))), Some(missing)) if next.is_random => missing,
            // Strangers may leave a longer gap than there is between two at an even rate.
            (Some((_, Part::Stretch(_))), Some(missing)) => missing.min(1.0),
            (Some((_, Part::Stretch(Stretch { is_random: true, .. }))), None) => {
                gap(&mut self.dice)
            }
            _ => 0.0,
        };
    }
}

impl Iterator for Starts {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let (began, part) = self.part.as_ref()?;
            // A rounding error is no request.
            if self.next >= part.area() - 1e-9 {
                self.turn();
                continue;
            }
            let (at, step) = match part {
                Part::Stretch(stretch) if stretch.is_random => {
                    (stretch.after(self.next), gap(&mut self.dice))
                }
                Part::Stretch(stretch) => (stretch.after(self.next), 1.0),
                Part::Trace(offsets, _) => (offsets[self.next as usize], 1.0),
            };
            let start = Duration::from_secs_f64(began + at);
            self.next += step;
            return Some(start);
        }
    }
}

/// What lies between strangers, where one is to be expected in 1.
fn gap(dice: &mut StdRng) -> f64 {
    -(1.0 - dice.random::<f64>()).ln()
}

impl Part {
    fn seconds(&self) -> f64 {
        match self {
            Self::Stretch(stretch) => stretch.seconds,
            Self::Trace(_, seconds) => *seconds,
        }
    }

    fn area(&self) -> f64 {
        match self {
            Self::Stretch(stretch) => (stretch.from + stretch.to) / 2.0 * stretch.seconds,
            Self::Trace(offsets, _) => offsets.len() as f64,
        }
    }
}

impl Stretch {
    /// How long it takes until so many requests are to be expected.
    fn after(&self, requests: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        let root = (self.from * self.from + 2.0 * slope * requests).max(0.0).sqrt();
        // The form of the solution that does not divide by a slope of nothing.
        let at = 2.0 * requests / (self.from + root);
        if at.is_finite() { at.min(self.seconds) } else { 0.0 }
    }
}

impl Phase {
    fn parts(&self, folder: &Path) -> anyhow::Result<Vec<Part>> {
        self.check_members()?;
        if self.shape == Shape::Trace {
            return Ok(vec![self.trace(folder)?]);
        }
        let rate = rate("rate", self.rate.context("rate: missing")?)?;
        let seconds = seconds("seconds", self.seconds.context("seconds: missing")?)?;
        let stretch = |from, to, seconds| {
            let is_random = self.shape == Shape::Poisson;
            Part::Stretch(Stretch { from, to, seconds, is_random })
        };
        let to = self.to.map_or(Ok(rate), |to| self::rate("to", to))?;
        if self.shape != Shape::Spike {
            ensure!(rate + to > 0.0, "rate: nobody would come");
            return Ok(vec![stretch(rate, to, seconds)]);
        }
        let peak = self::rate("peak", self.peak.context("peak: missing, for a spike")?)?;
        let of_peak = self.peak_seconds.context("peak_seconds: missing, for a spike")?;
        let of_peak = self::seconds("peak_seconds", of_peak)?;
        ensure!(of_peak < seconds, "peak_seconds: less than seconds");
        ensure!(peak > rate, "peak: more than rate");
        let around = (seconds - of_peak) / 2.0;
        Ok(vec![
            stretch(rate, rate, around),
            stretch(peak, peak, of_peak),
            stretch(rate, rate, around),
        ])
    }

    /// What would not be looked at is a mistake.
    fn check_members(&self) -> anyhow::Result<()> {
        let (is_spike, is_trace) = (self.shape == Shape::Spike, self.shape == Shape::Trace);
        let may_change = matches!(self.shape, Shape::Ramp | Shape::Poisson);
        for (name, is_there, is_wanted) in [
            ("rate", self.rate.is_some(), !is_trace),
            ("to", self.to.is_some(), may_change),
            ("peak", self.peak.is_some(), is_spike),
            ("peak_seconds", self.peak_seconds.is_some(), is_spike),
            ("offsets", self.offsets.is_some(), is_trace),
            ("file", self.file.is_some(), is_trace),
        ] {
            let shape = format!("{:?}", self.shape).to_lowercase();
            ensure!(is_wanted || !is_there, "{name}: not for shape = \"{shape}\"");
        }
        ensure!(self.shape != Shape::Ramp || self.to.is_some(), "to: missing, for a ramp");
        Ok(())
    }

    fn trace(&self, folder: &Path) -> anyhow::Result<Part> {
        let offsets = match (&self.offsets, &self.file) {
            (Some(offsets), None) => offsets.clone(),
            (None, Some(file)) => read_offsets(&folder.join(file)).context("file")?,
            _ => anyhow::bail!("a trace wants either offsets or a file"),
        };
        let Some(last) = offsets.last().copied() else { anyhow::bail!("offsets: none") };
        let fit = offsets.iter().all(|offset| (0.0..=SECONDS_MAX).contains(offset));
        ensure!(fit, "offsets: 0 to {SECONDS_MAX} seconds");
        ensure!(offsets.is_sorted(), "offsets: ascending");
        let seconds = self.seconds.unwrap_or(last);
        ensure!(seconds >= last, "seconds: the last request comes after {last}");
        Ok(Part::Trace(offsets, seconds))
    }
}

fn rate(name: &str, rate: f64) -> anyhow::Result<f64> {
    ensure!((0.0..=RATE_MAX).contains(&rate), "{name} = {rate}: 0 to {RATE_MAX} a second");
    Ok(rate)
}

fn seconds(name: &str, seconds: f64) -> anyhow::Result<f64> {
    let fit = seconds > 0.0 && seconds <= SECONDS_MAX;
    ensure!(fit, "{name} = {seconds}: more than 0, and {SECONDS_MAX} at most");
    Ok(seconds)
}

fn read_offsets(file: &Path) -> anyhow::Result<Vec<f64>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file:?}"))?;
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(n, line)| {
            line.parse().with_context(|| format!("{file:?} line {}: {line:?}", n + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests;
