//! Whether the client has not asked for too much already.

use crate::error::Problem;
use crate::peer::Peer;
use crate::rate_limit::{Ask, Class, RateLimits, Rule, Standing};
use crate::session::routes::COOKIE;
use actix_web::http::header;
use actix_web::{HttpRequest, web};

/// Takes the request from the limits of its class, or refuses it. Tells what is left.
pub(super) async fn take(
    class: Class,
    request: &HttpRequest,
) -> Result<Option<Standing>, Problem> {
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
