//! What stands before each route: its limits, whether browsing gives way, the publishable key and
//! its policy. Nothing of the handler runs before all have let the request in, nor is the body
//! read.

use super::policy::{check_channel, identify};
use super::{Endpoint, lag, limits};
use crate::error::Problem;
use crate::rate_limit::Standing;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, Route};
use std::rc::Rc;

/// The route of the endpoint, behind its door.
pub(super) fn behind_its_door(endpoint: &Endpoint) -> Route {
    let endpoint = Rc::new(endpoint.clone());
    (endpoint.route)().wrap(from_fn(move |request, next| pass(endpoint.clone(), request, next)))
}

/// Refuses, or serves and says what is left of the limits.
async fn pass(
    endpoint: Rc<Endpoint>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let standing = match let_in(&endpoint, request.request()).await {
        Ok(standing) => standing,
        Err(problem) => return Ok(request.error_response(problem)),
    };
    let mut response = next.call(request).await?;
    // A handler that has refused knows better.
    let headers = response.headers_mut();
    if let Some(standing) = standing.filter(|_| !headers.contains_key(Standing::LIMIT)) {
        for (name, value) in standing.headers() {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

async fn let_in(endpoint: &Endpoint, request: &HttpRequest) -> Result<Option<Standing>, Problem> {
    let standing = match endpoint.is_limited() {
        true => limits::take(endpoint.class, request).await?,
        false => None,
    };
    if endpoint.gives_way {
        lag::give_way(request)?;
    }
    check_channel(request).await?;
    identify(endpoint.policy, endpoint.operation, request).await?;
    Ok(standing)
}
