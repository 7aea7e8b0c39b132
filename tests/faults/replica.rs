//! A replica that lists and searches are read from falls behind, and dies.

use crate::harness::{App, Database, Pair};
use std::time::{Duration, Instant};

/// How many reads of the replica came to this.
async fn reads(app: &App, outcome: &str) -> f64 {
    app.metric(&format!("doorbuster_replica_reads_total{{outcome=\"{outcome}\"}}")).await
}

/// Searches for what nobody has looked for, until one more read of the replica comes to this.
async fn searches_until(app: &App, outcome: &str) {
    let (before, until) = (reads(app, outcome).await, Instant::now() + Duration::from_secs(20));
    while reads(app, outcome).await == before {
        assert!(Instant::now() < until, "no read of the replica is {outcome}");
        let word = uuid::Uuid::now_v7().simple();
        app.get(&format!("/v1/products?q={word}")).await.ok(200);
    }
}

/// How many products a search finds.
async fn found(app: &App, word: &str) -> usize {
    let list = app.get(&format!("/v1/products?q={word}")).await.ok(200);
    list["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_replica_that_is_behind_or_dead_makes_nothing_older_and_fails_nothing() {
    let pair = Pair::start("replica");
    let database = Database::on(&pair.services).await;
    let standby = pair.standby().await;
    let (_, replica) = standby.urls(&database);
    let app = App::with(&database, &[("POSTGRES__REPLICA_URL", &replica.url)]).await;
    app.stocked("EARLY", 100, 1).await;
    assert_eq!(found(&app, "early").await, 1, "whoever has changed something sees it");
    searches_until(&app, "used").await;

    replica.execute("SELECT pg_wal_replay_pause()").await;
    app.stocked("LATE", 100, 1).await;
    assert_eq!(found(&app, "late").await, 1);
    app.get("/v1/products/product-late").await.ok(200);
    assert!(reads(&app, "behind").await > 0.0);
    replica.execute("SELECT pg_wal_replay_resume()").await;
    searches_until(&app, "used").await;

    drop(standby);
    searches_until(&app, "away").await;
    app.stocked("LAST", 100, 1).await;
    assert_eq!(found(&app, "last").await, 1);
    database.assert_clean();
}
