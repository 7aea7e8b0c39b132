//! Instances that only answer, and instances that only work.

use crate::harness::{App, Database, order_of, paid_with, until};
use std::time::Duration;

#[tokio::test]
async fn what_an_api_instance_leaves_is_done_by_a_worker() {
    let database = Database::new().await;
    let settings = [("SERVER__ROLE", "api"), ("ORDER__PAY_WITHIN_SECONDS", "1")];
    let api = App::with(&database, &settings).await;
    api.stocked("A", 100, 1).await;
    api.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(api.level("A").await, [1, 0, 1, 0], "nobody looks for unpaid orders");
    let worker = App::with(&database, &[("SERVER__ROLE", "worker")]).await;
    until(async || match api.level("A").await {
        [1, 1, 0, 0] => Ok(()),
        level => Err(format!("the order did not expire: {level:?}")),
    })
    .await;
    worker.get("/readyz").await.ok(200);
    worker.get("/v1/products").await.problem(404, "not_found");
    worker.place(&order_of(&[("A", 1)])).await.problem(404, "not_found");
    database.assert_clean();
}
