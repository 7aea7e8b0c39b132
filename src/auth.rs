//! Who is asking: the admin's secret key and the secrets of orders. Denied unless proven.

use crate::error::{Code, Problem};
use crate::id::OrderId;
use crate::postgres::Postgres;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::future::{Ready, ready};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The server's secrets. Nothing prints them.
pub struct Secrets {
    admin_key: Option<[u8; 32]>,
    order_tokens: Vec<u8>,
}

impl Secrets {
    /// An empty admin key closes the admin API. `order_tokens` must be the same on every
    /// instance.
    pub fn new(admin_key: &str, order_tokens: Vec<u8>) -> Self {
        let admin_key = (!admin_key.is_empty()).then(|| Sha256::digest(admin_key).into());
        Self { admin_key, order_tokens }
    }

    /// The secret that opens one order, derived, so that a replay is equal byte for byte.
    pub fn order_token(&self, order: OrderId) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.order_tokens);
        let digest = mac.map(|mac| mac.chain_update(order.uuid().as_bytes()).finalize());
        let digest = digest.map(|digest| digest.into_bytes().to_vec()).unwrap_or_default();
        format!("dbo_{}", hex(&digest))
    }

    /// Whether `token` is the order's secret.
    fn opens(&self, order: OrderId, token: &str) -> bool {
        self.order_token(order).as_bytes().ct_eq(token.as_bytes()).into()
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secrets(request: &HttpRequest) -> Result<&Arc<Secrets>, Problem> {
    let secrets = request.app_data::<web::Data<Secrets>>().map(|data| &**data);
    secrets.ok_or_else(|| Problem::internal("the secrets are not registered"))
}

/// Proof that the admin's secret key came with the request.
pub struct Admin {
    /// The scope of the key's idempotency keys.
    pub scope: String,
}

impl FromRequest for Admin {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(admin(request))
    }
}

fn admin(request: &HttpRequest) -> Result<Admin, Problem> {
    let refused =
        || Problem::new(Code::Unauthorized, "Send the secret key: `Authorization: Bearer sk_…`.");
    let value =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = value.and_then(|value| value.split_once(' '));
    let key = key.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key);
    let sent: [u8; 32] = Sha256::digest(key.ok_or_else(refused)?).into();
    match secrets(request)?.admin_key {
        Some(known) if bool::from(known.ct_eq(&sent)) => {
            Ok(Admin { scope: format!("key:{}", hex(&sent[..8])) })
        }
        _ => Err(refused()),
    }
}

/// The order in the request's path.
pub struct OrderAccess {
    /// Its id.
    pub order: OrderId,
    /// Whether its secret came along: `X-Order-Token`.
    pub is_opened: bool,
}

impl FromRequest for OrderAccess {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(order_access(request))
    }
}

/// A malformed id looks like an unknown one, and so does every order to who shows nothing at all.
fn order_access(request: &HttpRequest) -> Result<OrderAccess, Problem> {
    let order = request.match_info().query("id").parse::<OrderId>();
    let order = order.map_err(|_| Problem::not_found("order"))?;
    let headers = request.headers();
    let token = headers.get("x-order-token").and_then(|value| value.to_str().ok());
    let secrets = secrets(request)?;
    let is_opened = token.is_some_and(|token| secrets.opens(order, token));
    let asks_as_somebody =
        [header::AUTHORIZATION, header::COOKIE].iter().any(|name| headers.contains_key(name));
    if !is_opened && !asks_as_somebody {
        return Err(Problem::not_found("order"));
    }
    Ok(OrderAccess { order, is_opened })
}

/// The secret of that name that all instances share; made at the first start.
pub async fn shared_secret(postgres: &Postgres, name: &str) -> Result<Vec<u8>, Problem> {
    let fresh: [u8; 32] = rand::random();
    let client = postgres.writers.get().await?;
    let make = "INSERT INTO server_secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    client.execute(make, &[&name, &&fresh[..]]).await?;
    let sql = "SELECT value FROM server_secrets WHERE name = $1";
    Ok(client.query_one(sql, &[&name]).await?.get(0))
}
