//! Who is asking: tokens, keys, scopes and the secrets of orders and mails. Denied unless proven.

mod admin;
mod scope;
mod token;

pub use admin::{Admin, Principal};
pub use scope::{Scope, Scopes, names as scope_names, parse as parse_scopes};
pub use token::{Token, TokenHash, hash, read_hash};

use crate::error::Problem;
use crate::id::{MailId, OrderId};
use crate::postgres::Postgres;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::future::{Ready, ready};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The server's secrets. Nothing prints them.
pub struct Secrets {
    admin_key: Option<TokenHash>,
    order_tokens: Vec<u8>,
}

impl Secrets {
    /// With an empty admin key only staff and API keys open the admin API. `order_tokens` must be
    /// the same on every instance.
    pub fn new(admin_key: &str, order_tokens: Vec<u8>) -> Self {
        let admin_key = (!admin_key.is_empty()).then(|| hash(admin_key));
        Self { admin_key, order_tokens }
    }

    /// The secret that opens one order, derived, so that a replay is equal byte for byte.
    pub fn order_token(&self, order: OrderId) -> String {
        format!("dbo_{}", self.derived(order.uuid().as_bytes()))
    }

    /// The secret that one mail carries, derived, so that it is stored nowhere.
    pub fn mail_token(&self, mail: MailId) -> String {
        format!("dbm_{}", self.derived(&[&b"mail"[..], mail.uuid().as_bytes()].concat()))
    }

    fn derived(&self, from: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.order_tokens);
        let digest = mac.map(|mac| mac.chain_update(from).finalize());
        hex(&digest.map(|digest| digest.into_bytes().to_vec()).unwrap_or_default())
    }

    /// Whether this is the hash of the admin's key.
    pub fn is_admin_key(&self, sent: &TokenHash) -> bool {
        self.admin_key.is_some_and(|known| known.ct_eq(sent).into())
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

/// The secret of `Authorization: Bearer …`, if the request brings one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim_start())
}

/// The order in the request's path, once the route's policy has looked at who is asking.
#[derive(Debug, Clone, Copy)]
pub struct OrderAccess {
    /// Its id.
    pub order: OrderId,
    /// Whether its secret came along: `X-Order-Token`.
    pub is_opened: bool,
}

impl OrderAccess {
    /// A malformed id looks like an unknown one, and so does every order to who shows nothing at
    /// all.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
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
        Ok(Self { order, is_opened })
    }
}

impl FromRequest for OrderAccess {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identified(request))
    }
}

/// What the policy of the route has found out about who is asking. Without one nobody is let in.
pub fn identified<T: Clone + 'static>(request: &HttpRequest) -> Result<T, Problem> {
    let found = request.extensions().get::<T>().cloned();
    found.ok_or_else(|| Problem::internal("no policy has looked at who is asking"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn each_order_and_each_mail_has_a_secret_of_its_own_that_is_always_the_same() {
        let secrets = || Secrets::new("", vec![7; 32]);
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let tokens = [
            secrets().order_token(one.into()),
            secrets().order_token(two.into()),
            secrets().mail_token(one.into()),
            secrets().mail_token(two.into()),
        ];
        let digits = |token: &String| token[4..].to_owned();
        let different: std::collections::HashSet<String> = tokens.iter().map(digits).collect();
        assert_eq!(different.len(), 4, "{tokens:?}");
        assert_eq!(secrets().mail_token(one.into()), tokens[2]);
        let others = Secrets::new("", vec![8; 32]);
        assert_ne!(others.mail_token(one.into()), tokens[2]);
    }
}
