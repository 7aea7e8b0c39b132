//! Axes: where a value lies on them, and which values they name.

use super::markup::number;

/// An axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Equal steps, from the first value to the second.
    Linear(f64, f64),
    /// Equal factors, between two values above zero.
    Log(f64, f64),
    /// Quantiles, each nine as far from the next; up to the one given.
    Nines(f64),
    /// Seconds of a run.
    Seconds(f64),
}

impl Scale {
    /// From zero to a round value at or above `max`.
    pub fn up_to(max: f64) -> Self {
        let step = step(max.max(1e-9), 4.0);
        Self::Linear(0.0, (max / step - 1e-9).ceil().max(1.0) * step)
    }

    /// Decades or halves of them around all values above zero.
    pub fn log_around(values: impl Iterator<Item = f64>) -> Self {
        let bounds = values
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if bounds.1 > 0.0 { bounds } else { (1.0, 10.0) };
        let below = round_steps().rev().find(|step| *step <= low * 1.000_001).unwrap_or(low);
        let above = round_steps().find(|step| *step >= high / 1.000_001).unwrap_or(high);
        Self::Log(below, if above > below { above } else { below * 10.0 })
    }

    /// Where a value lies: 0 at the beginning of the axis, 1 at its end.
    pub fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear(from, to) => (value - from) / (to - from).max(1e-12),
            Self::Seconds(to) => value / to.max(1e-12),
            Self::Log(from, to) => (value.max(from) / from).ln() / (to / from).ln(),
            Self::Nines(to) => nines(value) / nines(to).max(1e-12),
        };
        place.clamp(0.0, 1.0)
    }

    /// The values that are named, with their names.
    pub fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Linear(from, to) => {
                let step = step(to - from, 4.0);
                let count = ((to - from) / step + 1e-9).floor() as usize;
                let values = (0..=count).map(|n| from + n as f64 * step);
                values.map(|value| (value, plain(value))).collect()
            }
            Self::Seconds(to) => {
                let step = time_step(to);
                let count = (to / step + 1e-9).floor() as usize;
                (0..=count).map(|n| n as f64 * step).map(|at| (at, clock(at, step))).collect()
            }
            Self::Log(from, to) => {
                let decades = (to / from).log10();
                let few = |value: f64| decades < 2.5 || is_power_of_ten(value);
                let values = round_steps().filter(|value| {
                    *value >= from * 0.999_999 && *value <= to * 1.000_001 && few(*value)
                });
                values.map(|value| (value, milliseconds(value))).collect()
            }
            Self::Nines(to) => {
                let values = [0.0, 0.5].into_iter().chain((1..9).map(|n| 1.0 - 0.1_f64.powi(n)));
                let values = values.filter(|value| nines(*value) <= nines(to) + 1e-9);
                values.map(|value| (value, percentage(value))).collect()
            }
        }
    }

    /// Lines between those that are named.
    pub fn minor(self) -> Vec<f64> {
        let Self::Log(from, to) = self else { return Vec::new() };
        round_steps().filter(|value| *value > from && *value < to).collect()
    }
}

fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile.min(1.0 - 1e-12)).log10()
}

/// 1, 2 and 5 of all decades that milliseconds may come in.
fn round_steps() -> impl DoubleEndedIterator<Item = f64> {
    (-3..8).flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)))
}

fn is_power_of_ten(value: f64) -> bool {
    (value.log10() - value.log10().round()).abs() < 1e-9
}

/// The step of 1, 2 or 5 times a power of ten that makes about so many.
fn step(span: f64, about: f64) -> f64 {
    let rough = span / about;
    let power = 10_f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= rough * 0.999);
    digit.unwrap_or(10.0) * power
}

fn time_step(span: f64) -> f64 {
    let steps = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0];
    let fits = |step: &f64| span / step <= 10.0;
    steps.into_iter().find(fits).unwrap_or_else(|| (span / 10.0 / 3_600.0).ceil() * 3_600.0)
}

/// Seconds, or minutes and seconds where the axis is long.
fn clock(at: f64, step: f64) -> String {
    let seconds = at.round() as u64;
    if step < 15.0 {
        return seconds.to_string();
    }
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn plain(value: f64) -> String {
    if value >= 10_000.0 {
        return format!("{} k", trimmed(value / 1_000.0));
    }
    if value >= 100.0 { number(value) } else { trimmed(value) }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn milliseconds(ms: f64) -> String {
    if ms >= 1_000.0 {
        format!("{} s", trimmed(ms / 1_000.0))
    } else {
        format!("{} ms", trimmed(ms))
    }
}

fn percentage(quantile: f64) -> String {
    let text = format!("{:.6}", quantile * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn ticks_are_round_few_and_inside_the_axis() {
        assert_eq!(names(Scale::up_to(7.3)), ["0", "2", "4", "6", "8"]);
        assert_eq!(names(Scale::up_to(0.7)), ["0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(names(Scale::up_to(41_000.0)), ["0", "20 k", "40 k", "60 k"]);
        for max in [0.0, 0.003, 1.0, 3.0, 9.99, 10.0, 123.0, 4_999.0, 1e6] {
            let scale = Scale::up_to(max);
            let ticks = scale.ticks();
            assert!((2..=7).contains(&ticks.len()), "{max}: {ticks:?}");
            assert!(ticks.iter().all(|(at, _)| (0.0..=1.0).contains(&scale.place(*at))));
            assert!(ticks.last().unwrap().0 >= max, "{max}: {ticks:?}");
        }
    }

    #[test]
    fn a_log_axis_names_decades_and_holds_all_values() {
        let scale = Scale::log_around([0.0, 0.7, 3_400.0].into_iter());
        assert_eq!(scale, Scale::Log(0.5, 5_000.0));
        assert_eq!(names(scale), ["1 ms", "10 ms", "100 ms", "1 s"]);
        assert!((scale.place(50.0) - 0.5).abs() < 1e-9 && scale.place(0.0) == 0.0);
        let near = Scale::log_around([30.0, 40.0].into_iter());
        assert_eq!(names(near), ["20 ms", "50 ms"]);
        assert!(names(Scale::log_around(std::iter::empty())).len() > 1);
    }

    #[test]
    fn each_nine_is_as_far_from_the_next() {
        let scale = Scale::Nines(0.999);
        assert_eq!(names(scale), ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
        let distance = scale.place(0.99) - scale.place(0.9);
        assert!((scale.place(0.9) - distance).abs() < 1e-6);
        assert_eq!(scale.place(1.0), 1.0);
    }

    #[test]
    fn time_is_named_in_steps_of_a_clock() {
        assert_eq!(names(Scale::Seconds(6.0)), ["0", "1", "2", "3", "4", "5", "6"]);
        assert_eq!(names(Scale::Seconds(90.0)).join(" "), "0 10 20 30 40 50 60 70 80 90");
        assert_eq!(names(Scale::Seconds(130.0))[1], "0:15");
        assert_eq!(names(Scale::Seconds(7_200.0))[8], "2:00:00");
        assert!(names(Scale::Seconds(200_000.0)).len() <= 11);
    }
}
