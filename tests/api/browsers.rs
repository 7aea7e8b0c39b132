//! What browsers are told: who may read answers, and what may be done with them.

use crate::harness::{ADMIN_KEY, Answer, App};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

const SHOP: &str = "https://shop.example";

fn preflight(app: &App, origin: &str, method: &str, headers: &str) -> RequestBuilder {
    app.request(Method::OPTIONS, "/v1/cart")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", headers)
}

/// Every header by which a browser would let a foreign page in.
fn allowing(answer: &Answer) -> Vec<&str> {
    let names = answer.headers.keys().map(|name| name.as_str());
    names.filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn only_pages_of_listed_origins_may_read_answers_and_bring_cookies() {
    let origins = format!("{SHOP},http://localhost:3000");
    let app = App::configured(&[("SERVER__CORS_ORIGINS", &origins)]).await;
    for origin in [SHOP, "http://localhost:3000"] {
        let asked = preflight(&app, origin, "PATCH", "authorization, if-match, content-type");
        let (asked, read) = (
            Answer::of(asked).await,
            Answer::of(app.request(Method::GET, "/v1/products").header("Origin", origin)).await,
        );
        for answer in [&asked, &read] {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
            assert!(answer.header("vary").unwrap().to_ascii_lowercase().contains("origin"));
        }
        assert!(read.header("access-control-expose-headers").unwrap().contains("etag"));
    }
    for origin in [
        "https://evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil.example",
        "https://evil-shop.example",
        "https://shop.example/",
        "https://user@shop.example",
        "https://shop.example, https://evil.example",
        "https://SHOP.example.",
        "null",
        "*",
    ] {
        let asked = Answer::of(preflight(&app, origin, "POST", "authorization")).await;
        assert_eq!((asked.status, allowing(&asked)), (400, Vec::<&str>::new()), "{origin}");
        asked.problem(400, "invalid_request");
        let read = app.request(Method::GET, "/v1/products").header("Origin", origin);
        let read = Answer::of(read).await;
        assert_eq!((read.status, allowing(&read)), (200, Vec::<&str>::new()), "{origin}");
    }
    for (method, headers) in [("TRACE", "authorization"), ("PUT", ""), ("POST", "x-evil")] {
        let asked = Answer::of(preflight(&app, SHOP, method, headers)).await;
        assert_eq!(asked.status, 400, "{method} {headers}");
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_read_but_bring_no_cookies() {
    let app = App::configured(&[("SERVER__CORS_ORIGINS", "*")]).await;
    let asked = preflight(&app, "https://any.example", "POST", "authorization");
    let read = app.request(Method::GET, "/v1/products").header("Origin", "https://any.example");
    for answer in [Answer::of(asked).await, Answer::of(read).await] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn every_kind_of_answer_carries_the_security_headers() {
    let app = App::configured(&[("SERVER__CORS_ORIGINS", SHOP)]).await;
    app.stocked("A", 100, 1).await;
    let session = app.session().await;
    let tag = app.get("/v1/products").await.header("etag").unwrap().to_owned();
    let of = |method: &str, path: &str| app.request(method.parse().unwrap(), path);
    let json = |request: RequestBuilder, body: &str| {
        request.header("Content-Type", "application/json").body(body.to_owned())
    };
    for (status, request) in [
        (200, of("GET", "/")),
        (200, of("GET", "/v1/products")),
        (200, of("HEAD", "/v1/products")),
        (200, of("GET", "/openapi.json")),
        (200, of("GET", "/docs/")),
        (200, of("GET", "/docs/swagger-ui-bundle.js")),
        (200, of("GET", "/docs/errors")),
        (200, of("GET", "/metrics")),
        (200, of("GET", "/v1/admin/exports/products?format=csv").bearer_auth(ADMIN_KEY)),
        (200, preflight(&app, SHOP, "POST", "authorization")),
        (201, of("POST", "/v1/sessions")),
        (204, of("DELETE", "/v1/session").bearer_auth(&session)),
        (304, of("GET", "/v1/products").header("If-None-Match", &tag)),
        (400, of("GET", "/v1/products?limit=x")),
        (400, preflight(&app, "https://evil.example", "POST", "authorization")),
        (400, of("GET", "/livez").header("Host", "a@b")),
        (400, json(of("POST", "/v1/sessions"), "{")),
        (401, of("GET", "/v1/cart")),
        (404, of("GET", "/v1/nowhere")),
        (404, of("GET", "/docs/nowhere.js")),
        (405, of("PUT", "/v1/products")),
        (405, of("TRACE", "/v1/products")),
        (413, json(of("POST", "/v1/customers"), &" ".repeat(70_000))),
        (415, of("POST", "/v1/customers").body("x")),
        (422, of("POST", "/v1/customers").json(&json!({"email": "x", "password": "x"}))),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.bytes));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{status}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src '"), "{policy}");
        assert!(
            answer.header("x-request-id").is_some() && answer.header("cache-control").is_some()
        );
        assert_eq!(answer.header("server"), None);
        let problem = Some("application/problem+json");
        assert!(status < 400 || answer.header("content-type") == problem, "{status}");
    }
}
