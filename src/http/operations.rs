//! Operations: is it alive, is it ready, how is it doing, what can it do.

use crate::cart::Carts;
use crate::error::{Code, Problem};
use crate::metrics;
use crate::order::Orders;
use crate::postgres::Postgres;
use crate::redis::Redis;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;

/// What has not answered by then is degraded: a balancer that waits longer for this instance would
/// take it out, and all others with it, because a shared database hangs.
const CHECK_MAX: Duration = Duration::from_millis(250);

/// What the operations report on.
pub struct Operations {
    /// The database.
    pub postgres: Postgres,
    /// Redis, if one is configured.
    pub redis: Option<Redis>,
    /// The metrics; none where the process has another recorder.
    pub metrics: Option<PrometheusHandle>,
    /// Set once start-up is complete, unset while draining.
    pub is_ready: Arc<AtomicBool>,
    /// The OpenAPI document.
    pub openapi: Bytes,
}

/// Whether this instance should get requests, and how its dependencies are.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not_ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// Orders cannot be placed while it is degraded.
    postgres: Health,
    /// Only costs time while it is degraded; none if not configured.
    redis: Option<Health>,
}

/// How a dependency is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Health {
    /// It answers.
    Ok,
    /// It does not, or not soon.
    Degraded,
}

impl Health {
    async fn of(is_up: impl Future<Output = bool>) -> Self {
        match timeout(CHECK_MAX, is_up).await {
            Ok(true) => Self::Ok,
            _ => Self::Degraded,
        }
    }
}

/// Name, version, and where to go from here.
#[utoipa::path(get, path = "/", tag = "operations",
    responses((status = 200, description = "Links", body = serde_json::Value,
        example = json!(index()))))]
pub async fn get_index() -> HttpResponse {
    HttpResponse::Ok().json(index())
}

fn index() -> serde_json::Value {
    serde_json::json!({
        "name": "doorbuster",
        "version": env!("CARGO_PKG_VERSION"),
        "links": {
            "products": "/v1/products",
            "documentation": "/docs/",
            "openapi": "/openapi.json",
            "readiness": "/readyz",
        },
    })
}

/// The process is alive.
#[utoipa::path(get, path = "/livez", tag = "operations",
    responses((status = 200, description = "Alive", body = serde_json::Value,
        example = json!({"status": "ok"}))))]
pub async fn get_livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// This instance should get requests.
///
/// 503 only before start-up is complete and while draining: a lost database must not take every
/// instance out of the balancer.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Starting or draining", body = Readiness)))]
pub async fn get_readyz(operations: web::Data<Operations>) -> HttpResponse {
    let redis = async {
        match &operations.redis {
            Some(redis) => Some(Health::of(redis.is_up()).await),
            None => None,
        }
    };
    let (postgres, redis) = tokio::join!(Health::of(operations.postgres.is_up()), redis);
    let is_ready = operations.is_ready.load(Ordering::Relaxed);
    let status = if is_ready { "ready" } else { "not_ready" };
    let readiness = Readiness { status, postgres, redis };
    let mut response = match is_ready {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    response.json(readiness)
}

/// The metrics, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain",
        example = json!("doorbuster_orders_in_flight 12\n"))))]
pub async fn get_metrics(
    operations: web::Data<Operations>,
    orders: web::Data<Orders>,
    carts: web::Data<Carts>,
) -> HttpResponse {
    let Postgres { readers, writers, .. } = &operations.postgres;
    metrics::pool_waiting("readers", readers.status().waiting);
    metrics::pool_waiting("writers", writers.status().waiting);
    metrics::orders_in_flight(orders.in_flight());
    metrics::carts_in_flight(carts.in_flight());
    let text = operations.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text)
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value,
        example = json!({"openapi": "3.1.0", "info": {"title": "doorbuster"}, "paths": {}}))))]
pub async fn get_openapi(operations: web::Data<Operations>) -> HttpResponse {
    let body = operations.openapi.clone();
    HttpResponse::Ok().content_type("application/json").body(body)
}

/// To the pages.
pub async fn get_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// What each error code means: where a problem's `type` points.
pub async fn get_error_docs() -> Result<HttpResponse, Problem> {
    let row = |code: &Code| {
        format!(
            "<tr id=\"{0}\"><td><code>{0}</code></td><td>{1}</td><td>{2}</td></tr>",
            code.as_str(),
            code.status().as_u16(),
            code.title(),
        )
    };
    let rows: String = Code::ALL.iter().map(row).collect();
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Error codes</title>\
         <h1>Error codes</h1><table><tr><th>code</th><th>status</th><th>meaning</th></tr>{rows}\
         </table></html>"
    );
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page))
}
