//! The generator against servers that stall and count: what clients waited for is in the figures.
#![expect(clippy::unwrap_used, reason = "tests")]

mod stub;

use indicatif::ProgressBar;
use loadtests::client::Request;
use loadtests::generator::{Arrivals, Departure, Settings, drive, run};
use loadtests::hammer::{Until, hammer};
use loadtests::oracle::Verdict;
use loadtests::record::{Outcome, Record};
use loadtests::report::{Latency, Report};
use std::time::Duration;
use stub::{Stall, Stub};

const STALL: Stall =
    Stall { after: Duration::from_millis(500), time: Duration::from_millis(500) };

fn settings(stub: &Stub, connections: usize) -> Settings {
    Settings::new(vec![stub.url.parse().unwrap()], connections, 1)
}

fn reads(count: usize) -> Vec<Request> {
    (0..count).map(|_| Request::get("/v1/products")).collect()
}

async fn read(stub: &Stub, count: usize, rate: f64, settings: Settings) -> Vec<Record> {
    let arrivals = Arrivals::Rate(rate);
    let records = run(reads(count), arrivals, &settings, &ProgressBar::hidden()).await;
    assert_eq!((records.len(), stub.requests()), (count, count));
    assert!(records.iter().all(|record| record.outcome() == Outcome::Acknowledged));
    records
}

fn latency(records: &[Record]) -> Latency {
    let report = Report::new("test", "test", records, Verdict::default()).unwrap();
    report.acknowledged_latency
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one() {
    // A quarter of 2 s: a quarter of those who come wait, a quarter of a second on average.
    let stub = Stub::open(Some(STALL)).await;
    let open = latency(&read(&stub, 400, 200.0, settings(&stub, 64)).await);
    assert!(open.p50_ms < 250.0, "{open:?}");
    assert!(open.p99_ms > 350.0 && open.p999_ms > 400.0, "{open:?}");
    assert!(open.p90_ms > 150.0, "{open:?}");

    // Two clients wait for it once each, and nobody else comes meanwhile.
    let stub = Stub::open(Some(STALL)).await;
    let until = Until::Elapsed(Duration::from_secs(2));
    let closed = hammer(&stub.url, |_| Request::get("/v1/products"), 2, until).await.unwrap();
    assert!(closed.statuses[&200] > 300, "{closed:?}");
    assert!(closed.p99 < Duration::from_millis(150), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_shows_also_where_connections_are_few() {
    // They cannot even leave while both connections wait; it is their start that counts.
    let stub = Stub::open(Some(STALL)).await;
    let records = read(&stub, 400, 200.0, settings(&stub, 2)).await;
    let open = latency(&records);
    assert!(open.p99_ms > 350.0 && open.p90_ms > 150.0, "{open:?}");
    let late = records.iter().filter(|record| record.timing.lag_us > 50_000).count();
    assert!(late > 40, "{late} of 400 left late");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_or_opened_as_the_share_says() {
    for (share, expected) in [(0.0, 1..=4), (0.5, 120..=280), (1.0, 400..=400)] {
        let stub = Stub::open(None).await;
        let settings = Settings { new_connections: share, ..settings(&stub, 4) };
        read(&stub, 400, 2_000.0, settings).await;
        let opened = stub.connections();
        assert!(expected.contains(&opened), "{opened} connections with a share of {share}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_found_no_connection_in_time_does_not_leave() {
    let stub = Stub::open(Some(Stall { after: Duration::ZERO, ..STALL })).await;
    let patience = Some(Duration::from_millis(200));
    let settings = Settings { patience, ..settings(&stub, 1) };
    let plan = (0..50_u64).map(|n| Departure {
        start: Some(Duration::from_millis(n)),
        request: Request::get("/v1/products"),
        tag: n,
    });
    let (mut answered, mut gave_up) = (Vec::new(), Vec::new());
    drive(plan, &settings, |tag, record| match record.outcome() {
        Outcome::Acknowledged => answered.push(tag),
        _ => gave_up.push((tag, record)),
    })
    .await;
    assert_eq!((answered, gave_up.len(), stub.requests()), (vec![0], 49, 1));
    for (tag, Record { timing, answers, .. }) in gave_up {
        assert!(answers.is_empty() && timing.lag_us >= 200_000, "{tag} after {timing:?}");
    }
}
