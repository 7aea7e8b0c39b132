//! What stands before each route: whether its client has not asked for too much already.

use super::Endpoint;
use crate::error::Problem;
use crate::peer::Peer;
use crate::rate_limit::{Ask, Class, RateLimits, Rule, Standing};
use crate::session::routes::COOKIE;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, Route, web};

/// The route behind the limits of its endpoint.
pub(super) fn limited(route: Route, endpoint: &Endpoint) -> Route {
    let class = endpoint.class;
    match endpoint.is_limited() {
        true => route.wrap(from_fn(move |request, next| limit(class, request, next))),
        false => route,
    }
}

/// Refuses before the body is read, or serves and says what is left.
async fn limit(
    class: Class,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let standing = match take(class, request.request()).await {
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

async fn take(class: Class, request: &HttpRequest) -> Result<Option<Standing>, Problem> {
    let limits = request.app_data::<web::Data<RateLimits>>();
    let limits = limits.ok_or_else(|| Problem::internal("the limits are not registered"))?;
    let site = Peer::of(request).key();
    let of_site = |rule| Ask { rule, of: &site };
    let Some(credential) = credential(request) else {
        return match class.of_address() {
            Some(rule) => limits.take(&[Rule::Address, rule].map(of_site)).await,
            None => limits.take(&[of_site(Rule::Address)]).await,
        };
    };
    let mut asks = Vec::with_capacity(4);
    asks.extend([Some(Rule::Address), class.of_address()].into_iter().flatten().map(of_site));
    let of = credential.as_bytes();
    let of_credential = [Some(Rule::Credential), class.of_credential()].into_iter().flatten();
    asks.extend(of_credential.map(|rule| Ask { rule, of }));
    limits.take(&asks).await
}

/// The token or key that came along, whether or not it is worth anything.
fn credential(request: &HttpRequest) -> Option<String> {
    if let Some(sent) = request.headers().get(header::AUTHORIZATION) {
        let (_, token) = sent.to_str().ok()?.split_once(' ')?;
        return Some(token.trim_start().to_owned());
    }
    Some(request.cookie(COOKIE)?.value().to_owned())
}
