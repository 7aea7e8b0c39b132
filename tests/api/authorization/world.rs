//! A shop with somebody of every kind, and fresh things for each request to be about.

use crate::harness::{Answer, App, Letterbox, fresh_key, gbp, invited_by_hand, order_of};
use doorbuster::auth::Scope;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_postgres::{Client, Row, Statement};

pub const PASSWORD: &str = "difference engine";

/// Whoever asks, in the order of the columns.
pub const PRINCIPALS: [&str; 11] = [
    "nobody",
    "guest",
    "other",
    "customer",
    "pk",
    "owner",
    "manager",
    "support",
    "read-only",
    "key-",
    "key+",
];

/// The scope that a secret key has in the column `key+`, and lacks in `key-`.
pub type KeyScope<'s> = Option<&'s str>;

pub struct World {
    pub app: App,
    mails: Letterbox,
    count: AtomicU32,
    publishable: String,
    staff: HashMap<&'static str, String>,
    keys: HashMap<String, String>,
    database: Client,
    every_row: Statement,
}

/// Two customers: the one whose things requests are about, and another.
pub struct Customers {
    pub ada: String,
    pub eve: String,
    /// A session of the first one.
    pub token: String,
}

impl World {
    pub async fn new() -> Self {
        let mails = Letterbox::new();
        let app = App::configured(&[
            ("MAIL__URL", &mails.url()),
            ("RETENTION__ENABLED", "false"),
            ("LIMITS__ENABLED", "false"),
            ("PAYMENT__TEST_PROVIDER", "true"),
        ])
        .await;
        let database = app.database.connect().await;
        let every_row = every_row(&database).await;
        let mut world = Self {
            app,
            database,
            every_row,
            mails,
            count: AtomicU32::new(0),
            publishable: String::new(),
            staff: HashMap::new(),
            keys: HashMap::new(),
        };
        let key = json!({"kind": "publishable", "name": "Web", "channel": "web"});
        world.publishable = text(&world.make("/v1/admin/api-keys", &key).await["key"]);
        for role in ["owner", "manager", "support", "read-only"] {
            let token = world.staff_token(role).await;
            world.staff.insert(role, token);
        }
        let all: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        for scope in &all {
            let others: Vec<&str> = all.iter().filter(|other| *other != scope).copied().collect();
            for (name, scopes) in
                [(format!("+{scope}"), vec![*scope]), (format!("-{scope}"), others)]
            {
                let key = json!({"name": name, "scopes": scopes});
                let key = text(&world.make("/v1/admin/api-keys", &key).await["key"]);
                world.keys.insert(name, key);
            }
        }
        let key = text(
            &world.make("/v1/admin/api-keys", &json!({"name": "all", "scopes": all})).await["key"],
        );
        world.keys.insert("all".to_owned(), key);
        world
    }

    /// A number that nobody has had.
    pub fn number(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// What the configured key makes by a POST.
    pub async fn make(&self, path: &str, body: &Value) -> Value {
        self.app.admin_post(path, body).await.ok(201)
    }

    pub async fn product(&self) -> Value {
        let sku = format!("SKU-{}", self.number());
        let product = json!({"title": sku, "variants": [{"sku": sku, "prices": [gbp(100)]}]});
        let product = self.make("/v1/admin/products", &product).await;
        let body = json!({"sku": sku, "quantity": 1_000, "reason": "received"});
        self.make("/v1/admin/stock/adjustments", &body).await;
        product
    }

    pub async fn staff_member(&self, role: &str) -> Value {
        let email = format!("staff-{}@example.com", self.number());
        let invited = json!({"email": email, "name": "Grace", "role": role});
        self.make("/v1/admin/staff", &invited).await
    }

    /// The address of somebody who has accepted.
    pub async fn staff_email(&self, role: &str) -> String {
        let email = format!("staff-{}@example.com", self.number());
        let token = invited_by_hand(&self.app, &email, role);
        let body = json!({"token": token, "password": PASSWORD});
        let request = self.app.request(Method::POST, "/v1/admin/invitations/accept");
        Answer::of(request.json(&body)).await.ok(200);
        email
    }

    /// The token of somebody who has just logged in.
    pub async fn staff_token(&self, role: &str) -> String {
        let body = json!({"email": self.staff_email(role).await, "password": PASSWORD});
        let request = self.app.request(Method::POST, "/v1/admin/session/login").json(&body);
        text(&Answer::of(request).await.ok(200)["token"])
    }

    pub async fn customers(&self) -> Customers {
        let register = async |name: &str| {
            let email = format!("{name}-{}@example.com", self.number());
            let body = json!({"email": email, "password": PASSWORD, "name": email});
            let request = self.app.request(Method::POST, "/v1/customers").json(&body);
            Answer::of(request).await.ok(201);
            email
        };
        let (ada, eve) = (register("ada").await, register("eve").await);
        let token = self.customer_token(&ada).await;
        Customers { ada, eve, token }
    }

    /// The token in the mail to that address with that subject.
    pub async fn mailed_token(&self, address: &str, subject: &str) -> String {
        self.mails.wait(address, subject, 1).await.token().to_owned()
    }

    pub async fn customer_token(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD});
        let request = self.app.request(Method::POST, "/v1/session/login").json(&body);
        text(&Answer::of(request).await.ok(200)["token"])
    }

    /// What a customer sends.
    pub async fn send(&self, token: &str, method: Method, path: &str, body: &Value) -> Value {
        let request = self.app.request(method, path).bearer_auth(token).json(body);
        let answer = Answer::of(request.header("Idempotency-Key", fresh_key())).await;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer.json()
    }

    /// An order of the customer's.
    pub async fn order(&self, customers: &Customers, payment: Value) -> Value {
        let product = self.product().await;
        let mut order = order_of(&[(product["variants"][0]["sku"].as_str().unwrap(), 1)]);
        order["email"] = json!(customers.ada);
        order["payment"] = payment;
        self.send(&customers.token, Method::POST, "/v1/orders", &order).await
    }

    /// An order of the customer's, on invoice.
    pub async fn invoiced_order(&self, customers: &Customers) -> Value {
        self.order(customers, json!({"provider": "manual"})).await
    }

    /// An address that the customer has saved.
    pub async fn saved_address(&self, customers: &Customers) -> Value {
        let body = json!({"address": address()});
        self.send(&customers.token, Method::POST, "/v1/customers/me/addresses", &body).await
    }

    /// The id of the line that was last added to the customer's cart, which could be checked out.
    pub async fn filled_cart(&self, customers: &Customers) -> Value {
        let sku = self.product().await["variants"][0]["sku"].clone();
        let body = json!({"sku": sku, "quantity": 2});
        let cart = self.send(&customers.token, Method::POST, "/v1/cart/items", &body).await;
        let body = json!({"email": customers.ada, "shipping_address": address()});
        self.send(&customers.token, Method::PATCH, "/v1/cart", &body).await;
        cart["items"].as_array().unwrap().last().unwrap()["id"].clone()
    }

    /// Adds the credential of somebody; those of shoppers are new each time, because some requests
    /// end the session that asks.
    pub async fn signed(
        &self,
        request: RequestBuilder,
        principal: &str,
        customers: &Customers,
        scope: KeyScope<'_>,
        is_about_staff: bool,
    ) -> RequestBuilder {
        let key = |sign: &str| match scope {
            Some(scope) => &self.keys[&format!("{sign}{scope}")],
            None => &self.keys["all"],
        };
        match principal {
            "nobody" => request,
            "guest" => request.bearer_auth(self.app.session().await),
            "other" => request.bearer_auth(self.customer_token(&customers.eve).await),
            "customer" => request.bearer_auth(self.customer_token(&customers.ada).await),
            "pk" => request.header("X-Publishable-Key", &self.publishable),
            "key-" => request.bearer_auth(key("-")),
            "key+" => request.bearer_auth(key("+")),
            role if is_about_staff => request.bearer_auth(self.staff_token(role).await),
            role => request.bearer_auth(&self.staff[role]),
        }
    }

    /// Every row of every table, in short, but for what a look or a worker may leave behind: that
    /// a key or a session was used, that a mail was sent.
    pub async fn rows(&self) -> Vec<(String, i64, String)> {
        let rows = self.database.query(&self.every_row, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }
}

/// The statement of [`World::rows`].
async fn every_row(database: &Client) -> Statement {
    let sql = "SELECT table_name::text FROM information_schema.tables
               WHERE table_schema = 'public' ORDER BY 1";
    let tables = database.query(sql, &[]).await.unwrap();
    let part = |row: &Row| {
        let table: String = row.get(0);
        let used = "'{last_used_at,expires_at,attempts,next_try_at,sent_at,due_at}'::text[]";
        format!(
            "SELECT '{table}', count(*),
                 coalesce(sum(hashtextextended((to_jsonb(t) - {used})::text, 0)), 0)::text
             FROM \"{table}\" t"
        )
    };
    let parts: Vec<String> = tables.iter().map(part).collect();
    database.prepare(&parts.join(" UNION ALL ")).await.unwrap()
}

pub fn address() -> Value {
    json!({"name": "Ada", "line1": "12 St James's Square", "city": "London", "country": "GB"})
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
