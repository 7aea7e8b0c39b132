//! A replica that lists and searches are read from falls behind, is ahead, hangs and dies.

use crate::harness::{App, Database, Pair, Second, until};
use crate::line::{Line, Silence, Weather};
use std::time::{Duration, Instant};

/// How many reads of the replica came to this.
async fn reads(app: &App, outcome: &str) -> f64 {
    app.metric(&format!("doorbuster_replica_reads_total{{outcome=\"{outcome}\"}}")).await
}

/// Searches for what nobody has looked for, until one more read of the replica comes to this.
async fn searches_until(app: &App, outcome: &str) {
    let before = reads(app, outcome).await;
    until(async || {
        let word = uuid::Uuid::now_v7().simple();
        app.get(&format!("/v1/products?q={word}")).await.ok(200);
        let is_one_more = reads(app, outcome).await > before;
        is_one_more.then_some(()).ok_or_else(|| format!("no read of the replica is {outcome}"))
    })
    .await;
}

/// How many products a search finds.
async fn found(app: &App, word: &str) -> usize {
    let list = app.get(&format!("/v1/products?q={word}")).await.ok(200);
    list["items"].as_array().unwrap().len()
}

/// A shop whose lists are read from a standby, at the other end of a line.
struct Shop {
    database: Database,
    standby: Second,
    replica: Database,
    line: Line,
    app: App,
}

impl Shop {
    async fn open(pair: &Pair) -> Self {
        let database = Database::on(&pair.services).await;
        let standby = pair.standby().await;
        let (_, replica) = standby.urls(&database);
        let line = Line::to(&replica);
        let app = App::with(&database, &[("POSTGRES__REPLICA_URL", &line.url)]).await;
        app.stocked("EARLY", 100, 1).await;
        assert_eq!(found(&app, "early").await, 1, "whoever has changed something sees it");
        searches_until(&app, "used").await;
        Self { database, standby, replica, line, app }
    }
}

#[tokio::test]
async fn a_replica_that_is_behind_or_dead_makes_nothing_older_and_fails_nothing() {
    let pair = Pair::start("replica");
    let Shop { database, standby, replica, line, app } = Shop::open(&pair).await;
    replica.execute("SELECT pg_wal_replay_pause()").await;
    app.stocked("LATE", 100, 1).await;
    assert_eq!(found(&app, "late").await, 1);
    app.get("/v1/products/product-late").await.ok(200);
    assert!(reads(&app, "behind").await > 0.0);
    replica.execute("SELECT pg_wal_replay_resume()").await;
    searches_until(&app, "used").await;

    line.turn(Weather { silence: Silence::BothWays, ..Weather::default() });
    let (away, asked) = (reads(&app, "away").await, Instant::now());
    app.get("/v1/products/nobody-has-asked").await.problem(404, "not_found");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(reads(&app, "away").await > away);
    searches_until(&app, "away").await;
    line.turn(Weather::default());
    searches_until(&app, "used").await;

    drop(standby);
    searches_until(&app, "away").await;
    app.stocked("LAST", 100, 1).await;
    assert_eq!(found(&app, "last").await, 1);
    database.assert_clean();
}

#[tokio::test]
async fn a_replica_shows_no_change_before_the_primary_does() {
    let pair = Pair::start("replica-ahead");
    let Shop { database, standby: _standby, replica, line: _line, app } = Shop::open(&pair).await;
    // A commit that waits for a standby that does not exist: others have it, and do not wait.
    pair.wait_for_standbys("nobody").await;
    let writer = database.connect().await;
    let change = tokio::spawn(async move {
        let change = "INSERT INTO products (id, slug, title, status) VALUES
                      (gen_random_uuid(), 'unseen', 'Unseen', 'active');
                      UPDATE catalog_epoch SET value = value + 1";
        writer.batch_execute(change).await.unwrap();
    });
    let is_there = "SELECT count(*) FROM products WHERE slug = 'unseen'";
    replica.until_at_least(is_there, 1).await;
    assert_eq!(database.number(is_there).await, 0, "the primary shows it already");
    searches_until(&app, "ahead").await;
    app.get("/v1/products/unseen").await.problem(404, "not_found");
    pair.wait_for_standbys("").await;
    change.await.unwrap();
    searches_until(&app, "used").await;
}

#[tokio::test]
async fn while_the_primary_is_away_what_a_replica_finds_is_marked_and_what_it_misses_is_unknown()
{
    let pair = Pair::start("replica-alone");
    let shop = Shop::open(&pair).await;
    let app = &shop.app;
    pair.stop_postgres().await;
    // What was read before may be shown as fresh for a moment.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = reads(app, "used").await;
    let list = app.get("/v1/products?q=early&limit=7").await;
    assert_eq!((list.status, list.header("doorbuster-stale")), (200, Some("true")));
    let nothing = app.get("/v1/products?q=nobody-has-asked").await;
    assert_eq!((nothing.status, nothing.header("doorbuster-stale")), (200, Some("true")));
    app.get("/v1/products/nobody-has-asked").await.problem(503, "storage_unavailable");
    assert_eq!(reads(app, "used").await, used + 3.0);
}
