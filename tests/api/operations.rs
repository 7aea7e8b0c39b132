use crate::harness::{Answer, App, Database, order_of, services, signal, succeed};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;

#[tokio::test]
async fn every_answer_carries_a_request_id_and_the_security_headers() {
    let app = App::start().await;
    for path in ["/", "/livez", "/readyz", "/v1/products", "/nowhere", "/docs/"] {
        let answer = app.get(path).await;
        assert!(answer.header("x-request-id").is_some(), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("content-security-policy").is_some(), "{path}");
    }
    let named = app.request(Method::GET, "/nowhere").header("X-Request-Id", "abc-1");
    let problem = Answer::of(named).await;
    assert_eq!(problem.header("x-request-id"), Some("abc-1"));
    assert_eq!(problem.problem(404, "not_found")["request_id"], "abc-1");
}

#[tokio::test]
async fn readiness_names_each_dependency_and_a_lost_one_is_no_503() {
    let app = App::start().await;
    let ready = app.get("/readyz").await.ok(200);
    assert_eq!((&ready["status"], &ready["postgres"]), (&"ready".into(), &"ok".into()));
    assert_eq!(ready["redis"], Value::Null);
    let redis = services().redis_url.clone().expect("Redis is installed");
    let app = App::configured(&[("REDIS__URL", &redis)]).await;
    assert_eq!(app.get("/readyz").await.ok(200)["redis"], "ok");
    let app = App::configured(&[("REDIS__URL", "redis://127.0.0.1:1")]).await;
    assert_eq!(app.get("/readyz").await.ok(200)["redis"], "degraded");
    app.stocked("A", 100, 1).await;
    app.place(&order_of(&[("A", 1)])).await.ok(201);
}

#[tokio::test]
async fn head_works_where_get_does_and_other_methods_are_told_which_are_allowed() {
    let app = App::start().await;
    for path in ["/livez", "/v1/products", "/openapi.json"] {
        let get = app.get(path).await;
        let head = Answer::of(app.request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.bytes.len()), (get.status, 0));
        let wrong = Answer::of(app.request(Method::DELETE, path)).await;
        wrong.problem(405, "method_not_allowed");
        assert_eq!(wrong.header("allow"), Some("GET, HEAD"));
    }
    let wrong = app.get("/v1/sessions").await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("POST"));
    let wrong = Answer::of(app.request(Method::PATCH, "/v1/orders")).await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("POST, GET, HEAD"));
}

#[tokio::test]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let app = App::start().await;
    let page = String::from_utf8(app.get("/docs/").await.bytes).unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    assert!(!page.contains("https://"), "{page}");
    let script = app.get("/docs/swagger-ui-bundle.js").await;
    assert_eq!(script.status, 200);
    let errors = String::from_utf8(app.get("/docs/errors").await.bytes).unwrap();
    assert!(errors.contains("out_of_stock"));
}

#[tokio::test]
async fn the_metrics_tell_how_orders_are_doing() {
    let app = App::start().await;
    app.stocked("A", 100, 1).await;
    app.place(&order_of(&[("A", 1)])).await.ok(201);
    app.place(&order_of(&[("A", 1)])).await.problem(409, "out_of_stock");
    let metrics = String::from_utf8(app.get("/metrics").await.bytes).unwrap();
    for sample in [
        "doorbuster_http_requests_total{route=\"/v1/orders\",method=\"POST\",status=\"201\"} 1",
        "doorbuster_http_requests_total{route=\"/v1/orders\",method=\"POST\",status=\"409\"} 1",
        "doorbuster_http_request_seconds_bucket{route=\"/v1/orders\"",
        "doorbuster_journal_batch_entries_bucket",
        "doorbuster_journal_commit_seconds_bucket",
        "doorbuster_journal_queue_entries",
        "doorbuster_pool_waiting{pool=\"readers\"}",
    ] {
        assert!(metrics.contains(sample), "{sample}\n{metrics}");
    }
}

#[tokio::test]
async fn an_instance_opens_no_more_connections_than_the_manual_says() {
    let app = App::start().await;
    app.stocked("A", 100, 1_000_000).await;
    let shopper = async |n: usize| {
        app.place(&order_of(&[("A", 1)])).await.ok(201);
        let token = app.session().await;
        let line = serde_json::json!({"items": [{"sku": "A", "quantity": 1}]});
        app.add_to_cart(&token, &line).await.ok(200);
        // So many searches at once may be refused, on a slow machine.
        app.get(&format!("/v1/products?q={n}")).await;
        app.adjust("A", 1).await.ok(201);
    };
    let opened = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = 'doorbuster'";
    let watch = async {
        let mut most = 0;
        for _ in 0..50 {
            most = most.max(app.database.number(opened).await);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        most
    };
    let (_, most) = tokio::join!(join_all((0..100).map(shopper)), watch);
    // Two lanes for orders and two for carts, two readers and two writers, retention and the pulse.
    assert!((8..=10).contains(&most), "{most} connections");
}

#[tokio::test]
async fn cross_origin_requests_are_for_configured_origins() {
    let preflight = |app: &App| {
        app.request(Method::OPTIONS, "/v1/orders")
            .header("Origin", "https://shop.example")
            .header("Access-Control-Request-Method", "POST")
    };
    let app = App::start().await;
    let refused = Answer::of(preflight(&app)).await;
    refused.problem(405, "method_not_allowed");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    let app = App::configured(&[("SERVER__CORS_ORIGINS", "https://shop.example")]).await;
    let allowed = Answer::of(preflight(&app)).await;
    let origin = allowed.header("access-control-allow-origin");
    assert_eq!((allowed.status, origin), (200, Some("https://shop.example")));
}

#[tokio::test]
async fn the_openapi_document_lists_what_is_served_with_examples_of_errors() {
    let app = App::start().await;
    let document = app.get("/openapi.json").await.ok(200);
    assert_eq!(document["openapi"], "3.1.0");
    let place = &document["paths"]["/v1/orders"]["post"];
    assert_eq!(place["operationId"], "place_order");
    for status in ["201", "400", "408", "409", "413", "415", "422", "503"] {
        assert!(place["responses"].get(status).is_some(), "{status}");
    }
    for path in document["paths"].as_object().unwrap().keys() {
        let path = path.replace("{id}", "ord_x").replace("{id_or_slug}", "x");
        let answer = Answer::of(app.request(Method::PUT, &path)).await;
        answer.problem(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn a_server_that_waits_for_another_s_migrations_stops_when_it_is_asked_to() {
    let database = Database::new().await;
    let migrating = database.connect().await;
    // `LOCK` in `src/migrate.rs`.
    migrating
        .batch_execute("SELECT pg_advisory_lock(x'646f6f7262757374'::bigint)")
        .await
        .unwrap();
    let mut server = App::command(&database.url).spawn().unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    database.until_at_least(waiting, 1).await;
    succeed(signal("TERM", [server.id()]));
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_finishes_its_requests_first() {
    let mut app = App::start().await;
    app.stocked("A", 100, 10).await;
    let slow = crate::harness::paid_with("delay_2s", &[("A", 1)]);
    let placing = tokio::spawn(app.placing("k", &slow).send());
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    app.signal("TERM");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(app.get("/readyz").await.status, 503);
    let alive = app.get("/livez").await;
    alive.ok(200);
    assert_eq!(alive.header("connection"), Some("close"), "the next request goes elsewhere");
    assert_eq!(placing.await.unwrap().unwrap().status(), 201);
    assert_eq!(app.wait(), Some(0));
    app.database.assert_clean();
}
