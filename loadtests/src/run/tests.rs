use super::*;
use crate::monitor::{Instance, InstanceSample, Monitored};
use crate::record::{Answer, Run, RunFile, Timing};
use crate::scenario::Thresholds;
use bytes::Bytes;
use std::collections::BTreeMap;

fn scenario(name: &str, changes: &[&str]) -> Scenario {
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
    match File::load(name, &changes).unwrap() {
        File::Mixed(scenario) => *scenario,
        File::Preset(preset) => panic!("{preset:?}"),
    }
}

fn goods(count: usize) -> Goods {
    let skus: Vec<String> = (0..count).map(|n| format!("SKU-{n}")).collect();
    Goods { lists: vec!["/v1/products".to_owned()], skus, ..Goods::default() }
}

fn tag(sort: Sort, seconds: f64) -> Tag {
    Tag { sort, start: Duration::from_secs_f64(seconds), about: "/v1/products/mug".into() }
}

fn record(status: u16, body: &'static str, latency_us: u64) -> Record {
    let answer =
        Answer { status, body: Bytes::from_static(body.as_bytes()), ..Answer::default() };
    let timing = Timing { lag_us: 0, latency_us, answered_at_us: 1_000_000 };
    Record { answers: vec![answer], timing, ..Record::default() }
}

const SOLD_OUT: &str = r#"{"code":"out_of_stock"}"#;

/// What is missed of these limits by so many records of each kind.
fn missed(scenario: &Scenario, records: &[(u16, &'static str, u64, usize)]) -> Vec<String> {
    let mut tally = Tally::new(10.0).unwrap();
    for (status, body, latency_us, count) in records {
        for _ in 0..*count {
            tally.add(&tag(Sort::Orders, 0.0), &record(*status, body, *latency_us)).unwrap();
        }
    }
    let mut report = tally.report("buy", "buy-1", Verdict::default()).unwrap();
    limits::judge(scenario, &tally, &mut report);
    report.limits_missed
}

#[test]
fn the_seed_decides_about_every_request() {
    let scenario = scenario("orders", &["goods.lines=3", "arrivals.0.seconds=1"]);
    let orders = |seed: u64, first: usize| {
        let scenario = Scenario { seed, ..scenario.clone() };
        let plan = Arc::new(Plan::new(&scenario, "run", goods(200), Vec::new()).unwrap());
        let starts = scenario.schedule().unwrap().starts(dice(seed, 0));
        let departures = plan.departures(starts, first);
        departures.map(|order| (order.start, order.request.body)).collect::<Vec<_>>()
    };
    assert_eq!(orders(1, 0), orders(1, 0));
    assert_ne!(orders(1, 0), orders(2, 0));
    assert!((400..600).contains(&orders(1, 0).len()));
    let mut units: BTreeMap<String, usize> = BTreeMap::new();
    for (_, body) in orders(1, 0) {
        let order: crate::order::NewOrder = serde_json::from_slice(&body).unwrap();
        let mut skus: Vec<String> = order.items.into_iter().map(|item| item.sku).collect();
        skus.iter().for_each(|sku| *units.entry(sku.clone()).or_default() += 1);
        skus.sort();
        skus.dedup();
        assert_eq!(skus.len(), 3, "one SKU stands in two lines");
    }
    assert!(units["SKU-0"] > 5 * units.get("SKU-50").copied().unwrap_or(1), "{units:?}");
}

#[test]
fn an_answer_that_is_not_what_was_asked_for_is_found() {
    let page = tag(Sort::Products, 0.0);
    let mug = r#"{"id":"prod_1","slug":"mug"}"#;
    assert_eq!(wrong(&page, &record(200, mug, 1)), None);
    let other = wrong(&page, &record(200, r#"{"id":"prod_2","slug":"jug"}"#, 1)).unwrap();
    assert!(other.contains("not what was asked for") && other.contains("jug"), "{other}");
    assert!(wrong(&page, &record(204, mug, 1)).unwrap().contains("answered 204"));
    // Refusals are counted by themselves.
    assert_eq!(wrong(&page, &record(404, r#"{"code":"not_found"}"#, 1)), None);
    let list = tag(Sort::Lists, 0.0);
    assert_eq!(wrong(&list, &record(200, r#"{"items":[]}"#, 1)), None);
    assert!(wrong(&list, &record(200, r#"{"items":7}"#, 1)).is_some());
    let cart = Tag { about: "A".into(), ..tag(Sort::Carts, 0.0) };
    assert_eq!(wrong(&cart, &record(200, r#"{"items":[{"sku":"A"}]}"#, 1)), None);
    assert!(wrong(&cart, &record(200, r#"{"items":[{"sku":"B"}]}"#, 1)).is_some());
}

#[test]
fn every_threshold_can_be_missed() {
    let plenty = |limit: &str| scenario("orders", &["thresholds={}", limit]);
    let fine = [(201, "{}", 5_000, 100)];
    for (limit, records, expected) in [
        ("thresholds.p99_ms_max=4", &fine[..], "p99 5.00 ms, 4 ms at most"),
        ("thresholds.p999_ms_max=4", &fine[..], "p99.9 5.00 ms"),
        ("thresholds.each.orders.p99_ms_max=4", &fine[..], "orders: p99 5.00 ms"),
        ("thresholds.acknowledged_per_second_min=101", &fine[..], "100 acknowledged/s"),
        ("thresholds.unknown_max=1", &[(201, "{}", 1, 1), (500, "", 1, 2)], "2 without a final"),
        ("seed=1", &[(201, "{}", 1, 1), (500, "", 1, 1)], "1 without a final"),
        ("seed=1", &[(201, "{}", 1, 1), (409, SOLD_OUT, 1, 2)], "2 ended with orders 409 out_of"),
        (
            "thresholds.refused_share_max=0.4",
            &[(201, "{}", 1, 1), (409, SOLD_OUT, 1, 1)],
            "0.5000 refused",
        ),
        ("seed=1", &[(409, SOLD_OUT, 1, 2)], "orders: none was acknowledged"),
    ] {
        let missed = missed(&plenty(limit), records).join("; ");
        assert!(missed.contains(expected), "{limit}: {expected} is not in: {missed}");
        assert!(self::missed(&plenty("thresholds.p99_ms_max=6"), &fine).is_empty());
    }
    let scarce = scenario("flash-sale", &[]);
    let sold_out = [(201, "{}", 1, 1), (409, SOLD_OUT, 1, 9)];
    assert_eq!(missed(&scarce, &sold_out), Vec::<String>::new());
    let invalid = [(201, "{}", 1, 1), (422, r#"{"code":"validation_failed"}"#, 1, 1)];
    assert_eq!(missed(&scarce, &invalid), ["1 ended with orders 422 validation_failed"]);
}

#[test]
fn an_instance_that_holds_more_than_it_may_or_that_nobody_has_seen_is_found() {
    let limits = Thresholds { memory_mib_max: Some(64.0), ..Thresholds::default() };
    let missed = |held: &[u64]| {
        let sample = |(n, mib): (usize, &u64)| InstanceSample {
            at_seconds: n as f64,
            resident_bytes: Some(mib << 20),
            ..InstanceSample::default()
        };
        let samples = held.iter().enumerate().map(sample).collect();
        let instances = vec![Instance { samples, ..Instance::default() }];
        let monitor = Monitored { instances, ..Monitored::default() };
        let mut report = Report { seconds: 3.0, monitor, ..Report::default() };
        limits::memory(&limits, &mut report);
        report.limits_missed
    };
    // What was held before the run began does not count.
    assert_eq!(missed(&[99, 10, 64, 63]), Vec::<String>::new());
    assert_eq!(missed(&[0, 10, 65, 63]), ["65 MiB in an instance, 64 at most"]);
    assert_eq!(missed(&[]), ["nobody knows what an instance held"]);
}

#[test]
fn a_soak_that_gets_slower_is_found() {
    let soak = scenario("soak", &["mix={ orders = 1 }"]);
    let drift = |last_us: u64| {
        let mut tally = Tally::new(10.0).unwrap();
        for n in 0..100 {
            let latency_us = if n < 80 { 1_000 } else { last_us };
            tally
                .add(&tag(Sort::Orders, n as f64 / 10.0), &record(201, "{}", latency_us))
                .unwrap();
        }
        let mut report = tally.report("soak", "soak-1", Verdict::default()).unwrap();
        limits::judge(&soak, &tally, &mut report);
        report.limits_missed
    };
    assert_eq!(drift(2_000), Vec::<String>::new());
    let slower = drift(4_000);
    assert!(slower[0].contains("p99 of the last fifth 4.00 times the first's"), "{slower:?}");
}

#[test]
fn the_knee_is_the_last_step_that_kept_up() {
    let stairs = scenario("stairs", &["stairs.seconds=1", "thresholds.knee_per_second_min=300"]);
    let of = stairs.stairs.as_ref().unwrap();
    // A hundred orders, two of which take so long, and of which so many are acknowledged.
    let step = |latency_us: u64, acknowledged: usize| {
        let (mut tally, mut stage) = (Tally::new(1.0).unwrap(), Stage::new(of).unwrap());
        for n in 0..100 {
            let status = if n < acknowledged { 201 } else { 503 };
            let latency_us = if n < 2 { latency_us } else { 1_000 };
            let record = record(status, r#"{"code":"overloaded"}"#, latency_us);
            stage.add(&record).unwrap();
            tally.add(&tag(Sort::Orders, 0.0), &record).unwrap();
        }
        (stage.step(&tally), tally)
    };
    let mut climb = Climb::default();
    let add = |climb: &mut Climb, rate, step| stairs::climb(climb, of, rate, step);
    assert!(!add(&mut climb, 250.0, step(1_000, 100).0));
    assert!(!climb.found_it());
    assert!(add(&mut climb, 500.0, step(300_000, 100).0));
    assert_eq!((climb.knee, climb.found_it()), (Some(250.0), true));
    assert_eq!(climb.steps[1].over.as_deref(), Some("p99 above 250 ms"));
    let missed = |climb: &Climb| {
        let (_, mut tally) = step(1_000, 100);
        let mut report = tally.report("stairs", "stairs-1", Verdict::default()).unwrap();
        report.stairs = Some(climb.clone());
        limits::judge(&stairs, &tally, &mut report);
        report.limits_missed
    };
    assert_eq!(missed(&climb), ["the knee is above 250/s, 300/s at least"]);
    climb.below = vec![(0.5, step(16_000, 100).0)];
    let slow = &missed(&climb)[1];
    assert!(slow.starts_with("p99 at 0.5 of the knee 16.0"), "{slow}");
    let mut first = Climb::default();
    assert!(add(&mut first, 250.0, step(1_000, 94).0));
    assert_eq!(first.steps[0].over.as_deref(), Some("94.0 % acknowledged in time"));
    assert_eq!(first.steps[0].turned_away, 6.0);
    assert_eq!(missed(&first), ["the first step was over the knee"]);
}

#[test]
fn stairs_that_go_on_say_what_is_left_of_the_best_step() {
    let overload = scenario("overload", &["stairs.seconds=1"]);
    let of = overload.stairs.as_ref().unwrap();
    let mut climb = Climb::default();
    let missed = |climb: &Climb| {
        let mut tally = Tally::new(1.0).unwrap();
        let answer = record(201, "{}", 1_000);
        tally.add(&tag(Sort::Orders, 0.0), &answer).unwrap();
        let mut report = tally.report("stairs", "stairs-1", Verdict::default()).unwrap();
        report.stairs = Some(climb.clone());
        limits::judge(&overload, &tally, &mut report);
        report.limits_missed
    };
    let step = |achieved: f64, goodput, turned_away_p99_ms| Step {
        offered: achieved / goodput,
        achieved,
        goodput,
        turned_away_p99_ms,
        ..Step::default()
    };
    assert!(!stairs::climb(&mut climb, of, 1_000.0, step(1_000.0, 1.0, 0.0)));
    let few = missed(&climb);
    assert!(few[0].starts_with("100 % of the best"), "there was no overload: {few:?}");
    assert!(few[1].starts_with("1.0 times the best offered, 4 at least"), "{few:?}");
    assert!(!stairs::climb(&mut climb, of, 9_000.0, step(900.0, 0.1, 49.0)));
    assert_eq!((missed(&climb), climb.knee), (Vec::new(), Some(1_000.0)));
    assert!(!stairs::climb(&mut climb, of, 12_000.0, step(700.0, 0.1, 51.0)));
    let late = missed(&climb);
    assert!(late[0].starts_with("70 % of the best step's 1000/s"), "{late:?}");
    assert!(late[1].starts_with("p99 of who was turned away 51.00 ms"), "{late:?}");
    climb.steps.truncate(2);
    climb.steps[1].in_doubt = 1;
    assert_eq!(missed(&climb), ["1 may have been done, 0 at most"]);
    climb.steps[1].in_doubt = 0;
    climb.below = vec![(1.0, step(900.0, 0.9, 0.0))];
    assert_eq!(missed(&climb), ["90.0 % acknowledged in time at 1 of the knee, 95 % at least"]);
}

#[test]
fn the_report_of_a_run_is_of_all_its_requests() {
    let mut tally = Tally::new(10.0).unwrap();
    for n in 0..1_000 {
        let status = if n % 2 == 0 { 201 } else { 409 };
        tally.add(&tag(Sort::Orders, 0.0), &record(status, SOLD_OUT, 1_000 * n)).unwrap();
    }
    let report = tally.report("buy", "buy-1", Verdict::default()).unwrap();
    assert_eq!((report.outcomes["201"], report.outcomes["409 out_of_stock"]), (500, 500));
    assert_eq!((report.acknowledged, report.acknowledged_latency.count), (500, 500));
    assert_eq!((report.acknowledged_by_second[1], report.acknowledged_per_second), (500, 500.0));
    assert!((report.acknowledged_latency.p50_ms - 499.0).abs() < 5.0, "{report}");
    assert_eq!((report.refused_latency.count, report.verdict.judged["orders"]), (500, 1_000));
    assert_eq!((report.timeline[1].answered, report.routes[0].latency.count), (1_000, 1_000));
}

#[test]
fn more_orders_than_fit_into_memory_go_to_the_file() {
    let path = std::env::temp_dir().join(format!("evidence-{:x}", rand::random::<u64>()));
    let supplied = BTreeMap::from([("A".to_owned(), 7)]);
    let mut evidence = Evidence::holding(3, supplied, Some(&path));
    for n in 0..8 {
        let taken_up_at_us = 100_000_000 + n;
        evidence.add(Record { key: n.to_string(), taken_up_at_us, ..record(201, "{}", 1) });
    }
    // Of the whole run, with its clocks a minute apart: not of what is held.
    assert_eq!(evidence.since_us(), Some(40_000_000));
    let held: Vec<String> = evidence.held().iter().map(|record| record.key.clone()).collect();
    assert_eq!(held, ["5", "6", "7"]);
    drop(evidence);
    let part = Run::load(&path).unwrap_err().to_string();
    assert!(part.contains("only a part of a run"), "{part}");
    let keys = RunFile::records(&path).unwrap().map(|record| record.unwrap().key);
    assert_eq!(keys.collect::<String>(), "01234");
    std::fs::remove_file(&path).unwrap();
}
