//! Whatever is sent, the answer is a clear problem, and nothing is written.

use crate::harness::{Answer, App, fresh_key, order_of};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

async fn nothing_written(app: &App) {
    for table in ["orders", "order_lines", "payments", "idempotency_keys", "outbox"] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(app.database.number(&sql).await, 0, "{table}");
    }
}

async fn post_text(app: &App, body: impl Into<reqwest::Body>) -> Answer {
    let request = app.request(Method::POST, "/v1/orders").header("Idempotency-Key", fresh_key());
    Answer::of(request.header("Content-Type", "application/json").body(body)).await
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_invalid_requests() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let valid = order_of(&[("A", 1)]).to_string();
    let with = |old: &str, new: &str| {
        let changed = valid.replacen(old, new, 1);
        assert_ne!(changed, valid, "{old}");
        changed
    };
    let quantity = |text: &str| with("\"quantity\":1", &format!("\"quantity\":{text}"));
    for (body, pointer) in [
        (String::new(), ""),
        ("{".to_owned(), ""),
        ("[]".to_owned(), ""),
        (format!("[{valid}]"), ""),
        ("null".to_owned(), ""),
        (format!("{valid} x"), ""),
        (quantity("1.5"), "/items/0/quantity"),
        (quantity("\"1\""), "/items/0/quantity"),
        (quantity("9223372036854775808"), "/items/0/quantity"),
        (quantity("true"), "/items/0/quantity"),
        (quantity("null"), "/items/0/quantity"),
        (quantity("[1]"), "/items/0/quantity"),
        (with("[{", "[[\"A\",1],{"), "/items/0"),
        (with("\"A\"", "\"A\\u0000\""), "/items/0/sku"),
        (with("\"email\"", "\"price\":1,\"email\""), "/price"),
        (with("\"email\"", "\"email\":\"x@y.example\",\"email\""), "/email"),
        (with("\"email\":\"ada@example.com\",", ""), "/email"),
    ] {
        let problem = post_text(&app, body.clone()).await.problem(400, "invalid_request");
        let pointers: Vec<&Value> = problem["errors"]
            .as_array()
            .map(|errors| errors.iter().map(|error| &error["pointer"]).collect())
            .unwrap_or_default();
        assert!(pointers.iter().all(|found| *found == pointer), "{body}: {problem}");
        let text = problem.to_string();
        for inner in ["serde", "i64", "struct", "visitor", "src/", "SQL"] {
            assert!(!text.contains(inner), "{text}");
        }
    }
    post_text(&app, vec![0xff, 0xfe, b'{']).await.problem(400, "invalid_request");
    nothing_written(&app).await;
}

#[tokio::test]
async fn right_types_with_wrong_values_fail_the_validation_all_at_once() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    for quantity in [-1, 0, 1_000_001, i64::MAX, i64::MIN] {
        let order = order_of(&[("A", quantity)]);
        let problem = app.place(&order).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/items/0/quantity");
    }
    let mut order = order_of(&[("A", 0), ("?", 1)]);
    order["email"] = json!("not an address");
    order["shipping_address"]["country"] = json!("gb");
    order["shipping_address"]["name"] = json!(" ");
    order["shipping_option"] = json!("rocket");
    let problem = app.place(&order).await.problem(422, "validation_failed");
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        [
            "/items/0/quantity",
            "/email",
            "/shipping_address/name",
            "/shipping_address/country",
            "/shipping_option",
        ]
    );
    app.place(&order_of(&[])).await.problem(422, "validation_failed");
    let problem = app.place(&order_of(&[("A", 1), ("?", 1)])).await;
    assert_eq!(problem.problem(422, "validation_failed")["errors"][0]["pointer"], "/items/1/sku");
    for country in ["XX", "GBR", "", "uk"] {
        let mut order = order_of(&[("A", 1)]);
        order["shipping_address"]["country"] = json!(country);
        app.place(&order).await.problem(422, "validation_failed");
    }
    let mut order = order_of(&[("A", 1)]);
    order["discount_codes"] = json!(["FREE"]);
    app.place(&order).await.problem(422, "discount_not_applicable");
    nothing_written(&app).await;
}

#[tokio::test]
async fn a_total_that_does_not_fit_is_refused_and_does_not_wrap() {
    let app = App::start().await;
    for sku in ["A", "B"] {
        app.stocked(sku, 1_000_000_000_000, 0).await;
    }
    let most = "UPDATE prices SET amount = 9223372036854775807";
    app.database.connect().await.batch_execute(most).await.unwrap();
    let one_too_many = app.place(&order_of(&[("A", 2)])).await;
    one_too_many.problem(422, "validation_failed");
    app.place(&order_of(&[("A", 1), ("B", 1)])).await.problem(422, "validation_failed");
    nothing_written(&app).await;
}

#[tokio::test]
async fn ids_that_are_unknown_malformed_or_foreign_are_not_found() {
    let app = App::start().await;
    let unknown = "ord_01h455vb4pex5vsknk084sn02q";
    for id in [unknown, "ord_x", "x", "prod_01h455vb4pex5vsknk084sn02q", "%00", "%ff", "..%2f"] {
        for (method, path) in [
            (Method::GET, format!("/v1/orders/{id}")),
            (Method::POST, format!("/v1/orders/{id}/cancel")),
            (Method::POST, format!("/v1/orders/{id}/payments")),
            (Method::GET, format!("/v1/products/{id}")),
        ] {
            let request = app.request(method.clone(), &path).header("X-Order-Token", "dbo_0");
            let request = match method {
                Method::POST => request.json(&json!({"provider": "manual"})),
                _ => request,
            };
            Answer::of(request).await.problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn queries_that_make_no_sense_are_invalid_requests() {
    let app = App::start().await;
    for query in
        ["limit=0", "limit=101", "limit=x", "limit=-1", "cursor=x", "offset=1", "limit=1&limit=2"]
    {
        app.get(&format!("/v1/products?{query}")).await.problem(400, "invalid_request");
        let admin = app.admin_get(&format!("/v1/admin/orders?{query}")).await;
        admin.problem(400, "invalid_request");
    }
    let nul = app.admin_get("/v1/admin/stock/levels?sku=a%00b").await;
    nul.problem(400, "invalid_request");
}

#[tokio::test]
async fn a_title_in_a_cursor_is_no_longer_than_one_can_be() {
    let app = App::start().await;
    for sku in ["A", "B"] {
        app.stocked(sku, 100, 1).await;
    }
    let list = app.get("/v1/products?sort=title&limit=1").await.ok(200);
    let cursor = URL_SAFE_NO_PAD.decode(list["next_cursor"].as_str().unwrap()).unwrap();
    let mut cursor: Value = serde_json::from_slice(&cursor).unwrap();
    for (length, status) in [(500, 200), (501, 400)] {
        cursor["value"]["title"] = "é".repeat(length).into();
        let cursor = URL_SAFE_NO_PAD.encode(cursor.to_string());
        let page = app.get(&format!("/v1/products?sort=title&limit=1&cursor={cursor}")).await;
        assert_eq!(page.status, status, "{length}");
    }
}

#[tokio::test]
async fn only_plain_json_is_read() {
    let app = App::start().await;
    let post = |content_type: &str, encoding: Option<&str>| {
        let request =
            app.request(Method::POST, "/v1/orders").header("Content-Type", content_type);
        let request = request.header("Idempotency-Key", "k").body("{}");
        match encoding {
            Some(encoding) => request.header("Content-Encoding", encoding),
            None => request,
        }
    };
    for content_type in ["text/plain", "application/xml", "application/x-www-form-urlencoded"] {
        Answer::of(post(content_type, None)).await.problem(415, "unsupported_media_type");
    }
    for bomb in ["gzip", "deflate", "br", "zstd"] {
        let answer = Answer::of(post("application/json", Some(bomb))).await;
        answer.problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_large_orders_below_it_are_not() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    let large = |bytes: usize| {
        let mut order = order_of(&[("A", 1)]).to_string();
        order.push_str(&" ".repeat(bytes - order.len()));
        order
    };
    post_text(&app, large(257 * 1024)).await.problem(413, "payload_too_large");
    post_text(&app, large(256 * 1024)).await.ok(201);
    let store = app.request(Method::POST, "/v1/admin/products");
    let store = store.bearer_auth("sk_test_0123456789abcdef0123456789abcdef");
    let store = store.header("Content-Type", "application/json").body(large(65 * 1024));
    Answer::of(store).await.problem(413, "payload_too_large");
}

/// Sends raw bytes and reads until the server closes or says enough.
fn raw(app: &App, parts: &[&[u8]], pause: Duration) -> String {
    let address = app.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for part in parts {
        if stream.write_all(part).is_err() {
            break;
        }
        std::thread::sleep(pause);
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// An answer as it came over the wire.
fn read(answer: &str) -> Answer {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (start, fields) = head.split_once("\r\n").unwrap();
    let fields = fields.lines().filter_map(|field| field.split_once(": "));
    let headers = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let status = start.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: headers.collect(), bytes: body.as_bytes().to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dribbled_body_times_out() {
    let app = App::configured(&[("SERVER__BODY_TIMEOUT_SECONDS", "2")]).await;
    let head = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Idempotency-Key: k\r\nContent-Length: 1000\r\n\r\n";
    let mut parts: Vec<&[u8]> = vec![head];
    parts.extend([b"{" as &[u8]; 8]);
    let started = Instant::now();
    let answer = raw(&app, &parts, Duration::from_millis(500));
    read(&answer).problem(408, "request_timeout");
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_body_does_not_keep_its_connection() {
    let app = App::start().await;
    for path in ["/nowhere", "/livez", "/v1/admin/products"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"a\":\r\n"
        );
        let started = Instant::now();
        let answer = raw(&app, &[head.as_bytes()], Duration::ZERO);
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(started.elapsed() < Duration::from_secs(10), "{path} stayed open");
    }
}

#[tokio::test]
async fn requests_that_are_no_http_get_an_answer_and_harm_nobody() {
    let app = App::start().await;
    for garbage in [&b"GET\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"POST / HTTP/9.9\r\n\r\n"] {
        let answer = raw(&app, &[garbage], Duration::ZERO);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    app.get("/livez").await.ok(200);
}
