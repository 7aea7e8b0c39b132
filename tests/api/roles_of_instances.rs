//! Instances that only answer, and instances that only work.

use crate::harness::{
    App, Database, Letterbox, log_in, my, order_of, paid_with, register, retention,
};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// What the reaper, the postman, the eraser and retention have to do.
const LEFT: [(&str, i64); 4] = [
    ("SELECT count(*) FROM orders WHERE status = 'pending_payment'", 1),
    ("SELECT count(*) FROM mails WHERE next_try_at IS NOT NULL", 1),
    ("SELECT count(*) FROM erasures", 1),
    ("SELECT count(*) FROM idempotency_keys WHERE status IS NOT NULL", 1),
];

#[tokio::test]
async fn what_api_instances_leave_is_done_by_a_worker() {
    let (database, letters) = (Database::new().await, Letterbox::new());
    let url = letters.url();
    let soon = ("ORDER__PAY_WITHIN_SECONDS", "1");
    let with_role = |role| [("SERVER__ROLE", role), soon, ("MAIL__URL", &url), retention::QUICK];
    let api = App::with(&database, &with_role("api")).await;
    api.stocked("A", 100, 1).await;
    api.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    register(&api, "ada@example.com").await.ok(201);
    register(&api, "eve@example.com").await.ok(201);
    let eve = log_in(&api, None, "eve@example.com").await;
    assert_eq!(my(&api, &eve, Method::DELETE, "", &Value::Null).await.status, 204);
    let due = "UPDATE erasures SET due_at = now(), erased_at = now() - interval '6 minutes';
               UPDATE orders SET created_at = created_at - interval '99 hours';
               UPDATE idempotency_keys SET created_at = now() - interval '99 hours'";
    database.execute(due).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for (left, count) in LEFT {
        assert_eq!(database.number(left).await, count, "{left}");
    }
    let worker = App::with(&database, &with_role("worker")).await;
    for (left, _) in LEFT {
        database.until(left, 0).await;
    }
    assert_eq!(api.level("A").await, [1, 1, 0, 0]);
    letters.wait("ada@example.com", "Confirm your e-mail address", 1).await;
    worker.get("/readyz").await.ok(200);
    worker.get("/v1/products").await.problem(404, "not_found");
    worker.place(&order_of(&[("A", 1)])).await.problem(404, "not_found");
    database.assert_clean();
}
