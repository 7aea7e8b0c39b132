//! What tests say to the server, and what it answers.

use super::process::ADMIN_KEY;
use super::{App, until};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        Self::read(response).await
    }

    async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("a JSON body")
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Fails unless this is a problem of that status and code; returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        assert_eq!((self.status, self.code().as_str()), (status, code), "{text}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        self.json()
    }

    /// Fails unless this is a success of that status; returns its body.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }
}

/// A key that nobody has used.
pub fn fresh_key() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Pounds.
pub fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

/// An order of these SKUs and quantities, on invoice.
pub fn order_of(items: &[(&str, i64)]) -> Value {
    let items: Vec<Value> =
        items.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    json!({
        "items": items,
        "email": "ada@example.com",
        "shipping_address": {
            "name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London",
            "postal_code": "SW1Y 4JH", "country": "GB",
        },
        "payment": {"provider": "manual"},
    })
}

/// The same, paid with the test provider.
pub fn paid_with(token: &str, items: &[(&str, i64)]) -> Value {
    let mut order = order_of(items);
    order["payment"] = json!({"provider": "test", "token": token});
    order
}

impl App {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Asks until the answer is as expected: what the store shows may be a second old.
    pub async fn until(&self, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
        until(async || match self.get(path).await {
            answer if is_so(&answer) => Ok(answer),
            answer => Err(String::from_utf8_lossy(&answer.bytes).into_owned()),
        })
        .await
    }

    /// The value of a series, as `/metrics` shows it; 0 if it does not.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = String::from_utf8(self.get("/metrics").await.bytes).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or("0");
        line.trim().parse().unwrap()
    }

    pub async fn admin_get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).bearer_auth(ADMIN_KEY)).await
    }

    pub async fn admin_post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).bearer_auth(ADMIN_KEY).json(body)).await
    }

    /// A request of staff, without a body unless one is added.
    pub fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(ADMIN_KEY)
    }

    pub async fn admin_patch(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.admin(Method::PATCH, path).json(body)).await
    }

    pub async fn admin_delete(&self, path: &str) -> Answer {
        Answer::of(self.admin(Method::DELETE, path)).await
    }

    /// Makes an active product with one variant and supplies it.
    pub async fn stocked(&self, sku: &str, price: i64, units: i64) {
        let product = json!({"title": format!("Product {sku}"),
            "variants": [{"sku": sku, "prices": [gbp(price)]}]});
        self.admin_post("/v1/admin/products", &product).await.ok(201);
        if units > 0 {
            self.adjust(sku, units).await.ok(201);
        }
    }

    pub async fn adjust(&self, sku: &str, quantity: i64) -> Answer {
        let body = json!({"sku": sku, "quantity": quantity, "reason": "received"});
        self.admin_post("/v1/admin/stock/adjustments", &body).await
    }

    /// The counts of a SKU: supplied, available, held, sold.
    pub async fn level(&self, sku: &str) -> [i64; 4] {
        let answer = self.admin_get(&format!("/v1/admin/stock/levels?sku={sku}")).await.ok(200);
        let row = &answer["items"][0];
        ["supplied", "available", "held", "sold"].map(|count| row[count].as_i64().unwrap())
    }

    /// The token of a new session.
    pub async fn session(&self) -> String {
        let started = Answer::of(self.request(Method::POST, "/v1/sessions")).await.ok(201);
        started["token"].as_str().unwrap().to_owned()
    }

    /// What a shopper asks of their cart: `method /v1/cart{path}`, with a body unless it is null.
    pub fn shopping(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> RequestBuilder {
        let request = self.request(method, &format!("/v1/cart{path}")).bearer_auth(token);
        if body.is_null() { request } else { request.json(body) }
    }

    /// The session's cart.
    pub async fn cart(&self, token: &str) -> Value {
        let answer = Answer::of(self.shopping(token, Method::GET, "", &Value::Null)).await;
        let cart = answer.ok(200);
        assert_eq!(answer.header("etag"), Some(&*format!("\"{}\"", cart["version"])));
        cart
    }

    pub async fn add_to_cart(&self, token: &str, body: &Value) -> Answer {
        Answer::of(self.shopping(token, Method::POST, "/items", body)).await
    }

    pub async fn place(&self, order: &Value) -> Answer {
        self.place_as(&fresh_key(), order).await
    }

    pub async fn place_as(&self, key: &str, order: &Value) -> Answer {
        Answer::of(self.placing(key, order)).await
    }

    pub fn placing(&self, key: &str, order: &Value) -> RequestBuilder {
        self.request(Method::POST, "/v1/orders").header("Idempotency-Key", key).json(order)
    }

    /// Posts to a path under an order with the order's own secret.
    pub async fn order_post(&self, order: &Value, path: &str, body: &Value) -> Answer {
        let path = format!("/v1/orders/{}/{path}", order["id"].as_str().unwrap());
        let token = order["access_token"].as_str().unwrap();
        Answer::of(self.request(Method::POST, &path).header("X-Order-Token", token).json(body))
            .await
    }

    pub async fn order(&self, order: &Value) -> Value {
        let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
        let token = order["access_token"].as_str().unwrap();
        Answer::of(self.request(Method::GET, &path).header("X-Order-Token", token)).await.ok(200)
    }
}
