//! Every route: where it is, who may ask, what serves it, which errors it may answer with.

mod admin;
mod store;

use super::operations;
use super::policy::Policy::{self, Anybody};
use crate::error::Code;
use crate::json::STORE_BODY_MAX;
use crate::rate_limit::Class;
use actix_web::Route;
use actix_web::http::Method;

/// One operation: where it is, who may ask, what serves it, which errors it may answer with.
#[derive(Clone)]
pub struct Endpoint {
    /// The method; HEAD works where GET does.
    pub method: Method,
    /// The path's pattern.
    pub path: &'static str,
    /// Who may ask. There is no route without an answer.
    pub policy: Policy,
    /// The name of its handler, which is the id of the operation.
    pub operation: &'static str,
    /// Makes the route.
    pub(super) route: fn() -> Route,
    /// The error codes beyond those that any request may meet.
    pub codes: &'static [Code],
    /// Bytes in a body, at most.
    pub(super) body_max: usize,
    /// Which limits it has besides the general ones.
    pub class: Class,
    /// Whether it is browsing, which is refused before orders are.
    pub gives_way: bool,
}

/// A handler with its name.
type Named = (&'static str, fn() -> Route);

fn get(path: &'static str, policy: Policy, to: Named, codes: &'static [Code]) -> Endpoint {
    endpoint(Method::GET, path, policy, to, codes)
}

fn post(path: &'static str, policy: Policy, to: Named, codes: &'static [Code]) -> Endpoint {
    endpoint(Method::POST, path, policy, to, codes)
}

fn patch(path: &'static str, policy: Policy, to: Named, codes: &'static [Code]) -> Endpoint {
    endpoint(Method::PATCH, path, policy, to, codes)
}

fn delete(path: &'static str, policy: Policy, to: Named, codes: &'static [Code]) -> Endpoint {
    endpoint(Method::DELETE, path, policy, to, codes)
}

fn endpoint(
    method: Method,
    path: &'static str,
    policy: Policy,
    (handler, route): Named,
    codes: &'static [Code],
) -> Endpoint {
    let operation = handler.rsplit("::").next().unwrap_or(handler).trim();
    let (body_max, class) = (STORE_BODY_MAX, Class::General);
    let gives_way = false;
    Endpoint { method, path, policy, operation, route, codes, body_max, class, gives_way }
}

impl Endpoint {
    fn body_max(self, body_max: usize) -> Self {
        Self { body_max, ..self }
    }

    /// With the limits of such work.
    fn limited(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// As one of those that look around.
    fn gives_way(self) -> Self {
        Self { gives_way: true, ..self }
    }

    /// Whether clients are limited here: everywhere but in what operators and browsers ask for.
    pub fn is_limited(&self) -> bool {
        self.path.starts_with("/v1/")
    }
}

/// What every request with a body may be answered with.
pub const BODY_CODES: &[Code] = &[
    Code::InvalidRequest,
    Code::RequestTimeout,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::ValidationFailed,
    Code::IdempotencyKeyReused,
    Code::RequestInProgress,
];

/// Names a handler and makes its route.
macro_rules! to {
    ($handler:path) => {
        (stringify!($handler), || {
            actix_web::Route::new().to($crate::http::frame::Guarded($handler))
        })
    };
}

use to;

/// Every route.
pub fn endpoints() -> Vec<Endpoint> {
    [store::endpoints(), admin::endpoints(), operations()].concat()
}

/// For operators and tools.
fn operations() -> Vec<Endpoint> {
    vec![
        get("/", Anybody, to!(operations::get_index), &[]),
        get("/livez", Anybody, to!(operations::get_livez), &[]),
        get("/readyz", Anybody, to!(operations::get_readyz), &[]),
        get("/metrics", Anybody, to!(operations::get_metrics), &[]),
        get("/openapi.json", Anybody, to!(operations::get_openapi), &[]),
        get("/docs", Anybody, to!(operations::get_docs), &[]),
        get("/docs/errors", Anybody, to!(operations::get_error_docs), &[]),
    ]
}
