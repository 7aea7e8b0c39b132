//! The clocks of PostgreSQL and of instances jump.

use crate::harness::{App, Database, Pair, paid_with, times, until};
use crate::preloaded::Preloaded;
use crate::sale::Sale;
use loadtests::generator::Arrivals;
use loadtests::order::Provider;
use rand::Rng;
use rand::rngs::StdRng;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::sleep;

/// A clock that is put forward and back while programs run by it.
struct Clock {
    library: Preloaded,
    file: PathBuf,
}

impl Clock {
    fn of(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("clock-{name}-{}", std::process::id()));
        let clock = Self { library: Preloaded::of("step-clock.c"), file };
        clock.put(0);
        clock
    }

    /// So many minutes off from now on.
    fn put(&self, minutes: i64) {
        // In place, because programs look into this very file.
        let file = File::options().create(true).truncate(false).write(true).open(&self.file);
        file.unwrap().write_all_at(&(minutes * 60).to_ne_bytes(), 0).unwrap();
    }

    fn environment(&self) -> [(&str, &str); 2] {
        let file = self.file.to_str().unwrap();
        [("LD_PRELOAD", self.library.path()), ("STEP_CLOCK_FILE", file)]
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Waits until an instance's answers are dated so many minutes from now.
async fn jumped(app: &App, minutes: i64) {
    until(async || {
        let answer = app.get("/livez").await;
        let date = OffsetDateTime::parse(answer.header("date").unwrap(), &Rfc2822).unwrap();
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        match date.unix_timestamp() - now - minutes * 60 {
            -4..=4 => Ok(()),
            off => Err(format!("the instance's clock did not jump: {off} s off")),
        }
    })
    .await;
}

#[tokio::test]
async fn clocks_that_jump_lose_and_double_nothing() {
    let [theirs, ours, others] = ["postgres", "instance", "another"].map(Clock::of);
    let pair = Pair::start_with("clock", &theirs.environment());
    let database = Database::on(&pair.services).await;
    let app = App::in_environment(&database, &ours.environment()).await;
    let other = App::in_environment(&database, &others.environment()).await;
    let mut sale = Sale::at(&[&app, &other], Provider::Test, 32);
    let steps = times("STEPS", 4);
    sale.open_shop(&app, 100 * steps).await;
    // As short as a commit: steps alone leave hardly anything unknown.
    sale.patience = Duration::from_millis(5);
    let strikes = sale.strikes.clone();
    let minutes =
        |dice: &mut StdRng| dice.random_range(1..=20) * [-1, 1][dice.random_range(0..2)];
    for _ in 0..steps {
        let (to, also) = (minutes(&mut sale.dice), minutes(&mut sale.dice));
        let moment = sale.moment(300);
        let step = async {
            sleep(moment).await;
            let _step = strikes.begins();
            theirs.put(to);
            ours.put(also);
            others.put(-also);
            let off = "SELECT round(extract(epoch FROM clock_timestamp()))::bigint";
            let now = UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
            let off = database.number(off).await - now - to * 60;
            assert!(off.abs() < 5, "PostgreSQL's clock did not jump: {off} s off");
            jumped(&app, also).await;
            jumped(&other, -also).await;
        };
        tokio::join!(sale.sell(100, Arrivals::Rate(100.0)), step);
    }
    sale.settled("steps of the clocks, 20 minutes either way", &app).await;
}

#[tokio::test]
async fn an_unpaid_order_expires_by_the_clock_of_the_database_and_no_other() {
    let (theirs, ours) = (Clock::of("database"), Clock::of("reaper"));
    let pair = Pair::start_with("expiry", &theirs.environment());
    let database = Database::on(&pair.services).await;
    let periods = [("ORDER__PAY_WITHIN_SECONDS", "600"), ("ORDER__EXPIRY_INTERVAL_MS", "100")];
    let payer = App::with(&database, &periods).await;
    let periods = periods.map(|(name, value)| (format!("DOORBUSTER__{name}"), value));
    let mut environment = ours.environment().to_vec();
    environment.extend(periods.iter().map(|(name, value)| (name.as_str(), *value)));
    let app = App::in_environment(&database, &environment).await;
    payer.stocked("A", 100, 10).await;
    let order = payer.place(&paid_with("decline", &[("A", 4)])).await.ok(201);
    for minutes in [20, -20] {
        ours.put(minutes);
        jumped(&app, minutes).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(app.order(&order).await["status"], "pending_payment");
    }
    theirs.put(5);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(app.order(&order).await["status"], "pending_payment");
    theirs.put(11);
    until(async || match app.order(&order).await["status"].as_str() {
        Some("expired") => Ok(()),
        other => Err(format!("it is {other:?}")),
    })
    .await;
    // Put back, what is over stays over, and what is new has its time.
    theirs.put(0);
    let later = payer.place(&paid_with("decline", &[("A", 10)])).await.ok(201);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(app.order(&order).await["status"], "expired");
    assert_eq!(app.order(&later).await["status"], "pending_payment");
    assert_eq!(app.level("A").await, [10, 0, 10, 0]);
    database.assert_clean();
}
