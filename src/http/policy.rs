//! Who may ask for what. Each route of the table states a policy, and nothing of its handler runs
//! before the policy has let the request in. Whose a thing is, the SQL of its feature says.

use super::frame::REQUEST_ID;
use crate::auth::{Admin, OrderAccess, Scope, bearer};
use crate::error::{Code, Problem};
use crate::peer::Peer;
use crate::session::routes::Asking;
use crate::staff::{self, Credentials};
use actix_web::http::header::ORIGIN;
use actix_web::{HttpMessage, HttpRequest, web};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everybody.
    Anybody,
    /// Whoever has a session: a guest or a customer.
    Shopper,
    /// Whoever has logged in.
    Customer,
    /// Whoever shows the order's secret, or a session; whether the order is theirs, the SQL says.
    OrderHolder,
    /// Staff who have logged in, whatever their role: this is about themselves.
    Staff,
    /// Staff whose role has the scope, and secret keys that have it.
    Scope(Scope),
}

/// Finds out who is asking, and leaves it with the request if they may.
pub(super) async fn identify(
    policy: Policy,
    operation: &'static str,
    request: &HttpRequest,
) -> Result<(), Problem> {
    match policy {
        Policy::Anybody => {}
        Policy::Shopper | Policy::Customer => {
            let asking = Asking::find(request).await?;
            if policy == Policy::Customer && asking.session.customer.is_none() {
                return Err(Problem::new(Code::Forbidden, "Only customers: log in first."));
            }
            request.extensions_mut().insert(asking);
        }
        Policy::OrderHolder => {
            let access = OrderAccess::of(request)?;
            request.extensions_mut().insert(access);
        }
        Policy::Staff => {
            let admin = admin(request, operation).await?;
            admin.staff()?;
            request.extensions_mut().insert(admin);
        }
        Policy::Scope(scope) => {
            let admin = admin(request, operation).await?;
            admin.require(scope)?;
            request.extensions_mut().insert(admin);
        }
    }
    Ok(())
}

/// Who asks for something of the admin API.
async fn admin(request: &HttpRequest, operation: &'static str) -> Result<Admin, Problem> {
    let token = bearer(request.headers()).ok_or_else(staff::unauthorized)?;
    let found = credentials(request)?.admin(token).await?;
    let (principal, scopes) = found.ok_or_else(staff::unauthorized)?;
    let request_id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    Ok(Admin {
        principal,
        scopes,
        operation,
        address: Some(Peer::of(request).0),
        request_id: request_id.unwrap_or_default().to_owned(),
    })
}

fn credentials(request: &HttpRequest) -> Result<&Credentials, Problem> {
    let credentials = request.app_data::<web::Data<Credentials>>().map(|data| &***data);
    credentials.ok_or_else(|| Problem::internal("the credentials are not registered"))
}

/// A publishable key, if the request brings one, must be good, and sent from one of its pages.
pub(super) async fn check_channel(request: &HttpRequest) -> Result<(), Problem> {
    let Some(key) = request.headers().get("x-publishable-key") else { return Ok(()) };
    let unknown = || {
        Problem::new(Code::Unauthorized, "`X-Publishable-Key` is not a publishable key: `pk_…`.")
    };
    let key = key.to_str().map_err(|_| unknown())?;
    let origins = credentials(request)?.channel(key).await?.ok_or_else(unknown)?;
    let origin = request.headers().get(ORIGIN);
    // Without `Origin` it is no browser that asks, and a program can say whatever it likes.
    let is_allowed = origin.is_none_or(|origin| {
        origins.is_empty() || origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
    });
    if is_allowed {
        return Ok(());
    }
    let detail = "This publishable key is not for pages of this origin.";
    Err(Problem::new(Code::Forbidden, detail))
}
