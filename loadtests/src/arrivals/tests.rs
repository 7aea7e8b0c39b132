use super::*;
use rand::SeedableRng;

fn starts(phases: &[Phase], seed: u64) -> Vec<f64> {
    let schedule = Schedule::new(phases, Path::new("")).unwrap();
    let starts = schedule.starts(StdRng::seed_from_u64(seed));
    starts.map(|start| start.as_secs_f64()).collect()
}

fn phase(shape: Shape, rate: f64, seconds: f64) -> Phase {
    Phase { shape, rate: Some(rate), seconds: Some(seconds), ..Phase::default() }
}

fn between(starts: &[f64], from: f64, to: f64) -> usize {
    starts.iter().filter(|start| (from..to).contains(*start)).count()
}

#[test]
fn arrivals_are_planned_before_the_first_leaves() {
    let mut dice = StdRng::seed_from_u64(1);
    let mut schedule = |arrivals: Arrivals, count| arrivals.schedule(count, &mut dice);
    let window = schedule(Arrivals::Window(Duration::from_secs(5)), 10_000).unwrap();
    assert!(window.is_sorted() && window.len() == 10_000);
    assert!(window[0] < Duration::from_millis(50));
    assert!(window[5_000] > Duration::from_secs(2) && window[5_000] < Duration::from_secs(3));
    assert!(window[9_999] <= Duration::from_secs(5));
    let at_once = schedule(Arrivals::Window(Duration::ZERO), 3).unwrap();
    assert_eq!(at_once, vec![Duration::ZERO; 3]);
    let rate = schedule(Arrivals::Rate(200.0), 3).unwrap();
    assert_eq!(rate, [0, 5, 10].map(Duration::from_millis));
    let at = schedule(Arrivals::At(vec![Duration::ZERO, Duration::from_secs(1)]), 3).unwrap();
    assert_eq!(at, [0, 1, 1].map(Duration::from_secs));
    assert_eq!(schedule(Arrivals::Unpaced, 3), None);
}

#[test]
fn a_constant_rate_leaves_evenly_and_exactly_so_often() {
    for (rate, seconds, count) in [(200.0, 30.0, 6_000), (0.5, 10.0, 5), (333.0, 3.0, 999)] {
        let starts = starts(&[phase(Shape::Constant, rate, seconds)], 1);
        assert_eq!(starts.len(), count, "{rate} for {seconds} s");
        for (n, start) in starts.iter().enumerate() {
            assert!((start - n as f64 / rate).abs() < 1e-6, "{n} at {start}");
        }
    }
}

#[test]
fn a_ramp_goes_in_a_straight_line() {
    for (rate, to) in [(0.0, 100.0), (100.0, 0.0), (20.0, 80.0)] {
        let ramp = Phase { to: Some(to), ..phase(Shape::Ramp, rate, 100.0) };
        let starts = starts(&[ramp], 1);
        assert_eq!(starts.len(), 5_000);
        assert!(starts.is_sorted() && starts[0] >= 0.0 && starts[4_999] <= 100.0);
        for second in [5.0, 50.0, 90.0] {
            let expected = rate + (to - rate) * (second + 2.5) / 100.0;
            let measured = between(&starts, second, second + 5.0) as f64 / 5.0;
            assert!((measured - expected).abs() <= 0.5, "{expected} but {measured}");
        }
    }
}

#[test]
fn strangers_come_with_exponential_gaps() {
    let starts = starts(&[phase(Shape::Poisson, 100.0, 1_000.0)], 7);
    // The standard deviation of the count is its root, 316.
    assert!((98_500..101_500).contains(&starts.len()), "{}", starts.len());
    assert!(starts.is_sorted());
    let gaps: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    assert!((mean - 0.01).abs() < 0.0002, "{mean}");
    // Of exponential gaps the deviation is the mean, and exp(-x) of them are longer than x means.
    assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{variance}");
    for x in [0.1, 1.0, 3.0] {
        let longer = gaps.iter().filter(|gap| **gap > x * mean).count() as f64;
        let share = longer / gaps.len() as f64;
        assert!((share - (-x).exp()).abs() < 0.01, "{share} longer than {x} means");
    }
}

#[test]
fn a_spike_stands_in_the_middle() {
    let spike =
        Phase { peak: Some(500.0), peak_seconds: Some(4.0), ..phase(Shape::Spike, 10.0, 20.0) };
    let starts = starts(&[spike], 1);
    assert_eq!(starts.len(), 2_000 + 160);
    let parts = [(0.0, 8.0), (8.0, 12.0), (12.0, 20.0)];
    assert_eq!(parts.map(|(from, to)| between(&starts, from, to)), [80, 2_000, 80]);
}

#[test]
fn a_trace_leaves_when_it_says() {
    let text = "# seconds\n0\n0.25\n\n 1.5 \n1.5\n";
    let file = std::env::temp_dir().join(format!("trace-{:x}", rand::random::<u64>()));
    std::fs::write(&file, text).unwrap();
    let from_file = Phase { shape: Shape::Trace, file: Some(file.clone()), ..Phase::default() };
    let given = Phase {
        shape: Shape::Trace,
        offsets: Some(vec![0.5, 1.0]),
        seconds: Some(2.0),
        ..Phase::default()
    };
    let starts = starts(&[given, from_file, phase(Shape::Constant, 1.0, 2.0)], 1);
    assert_eq!(starts, [0.5, 1.0, 2.0, 2.25, 3.5, 3.5, 3.5, 4.5]);
    std::fs::write(&file, "0\nsoon\n").unwrap();
    let wrong = Phase { shape: Shape::Trace, file: Some(file.clone()), ..Phase::default() };
    let error = Schedule::new(&[wrong], Path::new("")).unwrap_err();
    std::fs::remove_file(&file).unwrap();
    let error = format!("{error:#}");
    assert!(error.contains("arrivals.0") && error.contains("line 2"), "{error}");
}

#[test]
fn phases_follow_each_other_without_a_gap() {
    // 0.3 a second: what is missing at the end of one phase comes in the next.
    let slow = [phase(Shape::Constant, 0.3, 2.0), phase(Shape::Constant, 0.3, 8.0)];
    let starts_of_slow = starts(&slow, 1);
    assert_eq!(starts_of_slow.len(), 3);
    assert!((starts_of_slow[1] - 1.0 / 0.3).abs() < 1e-6, "{starts_of_slow:?}");
    let day = [
        phase(Shape::Poisson, 50.0, 10.0),
        phase(Shape::Constant, 100.0, 10.0),
        Phase { to: Some(0.0), ..phase(Shape::Ramp, 100.0, 10.0) },
    ];
    let schedule = Schedule::new(&day, Path::new("")).unwrap();
    assert_eq!(
        (schedule.seconds(), schedule.expected(), schedule.peak()),
        (30.0, 2_000.0, 100.0)
    );
    let starts = starts(&day, 1);
    assert!(starts.is_sorted() && starts.last().unwrap() <= &30.0);
    assert!((999..=1_001).contains(&between(&starts, 10.0, 20.0)));
}

#[test]
fn the_seed_alone_decides() {
    let phases = [phase(Shape::Poisson, 100.0, 10.0)];
    assert_eq!(starts(&phases, 1), starts(&phases, 1));
    assert_ne!(starts(&phases, 1), starts(&phases, 2));
    let window = |seed| {
        Arrivals::Window(Duration::from_secs(1)).schedule(9, &mut StdRng::seed_from_u64(seed))
    };
    assert_eq!(window(1), window(1));
    assert_ne!(window(1), window(2));
}

#[test]
fn a_phase_that_makes_no_sense_is_named() {
    let ok = phase(Shape::Constant, 1.0, 1.0);
    for (phase, expected) in [
        (Phase { rate: None, ..ok.clone() }, "rate: missing"),
        (Phase { rate: Some(-1.0), ..ok.clone() }, "rate = -1"),
        (Phase { rate: Some(f64::NAN), ..ok.clone() }, "rate = NaN"),
        (Phase { rate: Some(0.0), ..ok.clone() }, "nobody would come"),
        (Phase { seconds: Some(0.0), ..ok.clone() }, "seconds = 0"),
        (Phase { to: Some(2.0), ..ok.clone() }, "to: not for shape = \"constant\""),
        (Phase { shape: Shape::Ramp, ..ok.clone() }, "to: missing"),
        (Phase { shape: Shape::Spike, ..ok.clone() }, "peak: missing"),
        (Phase { shape: Shape::Trace, ..ok.clone() }, "rate: not for shape = \"trace\""),
        (
            Phase { shape: Shape::Trace, offsets: Some(vec![2.0, 1.0]), ..Phase::default() },
            "offsets: ascending",
        ),
    ] {
        let error = Schedule::new(&[ok.clone(), phase], Path::new("")).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.starts_with("arrivals.1: ") && error.contains(expected), "{error}");
    }
}
