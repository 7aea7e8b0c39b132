//! Everything that is held of a customer: given out whole, and erased without a trace.

use crate::harness::{
    Answer, App, Letterbox, PASSWORD, fresh_key, order_of, paid_with, services, until, within,
};
use crate::harness::{get_as, log_in, my, post, register, try_to_log_in};
use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// Texts that stand nowhere unless a person has written them: ids have neither `l` nor `o`.
const MARKS: [&str; 9] = [
    "zolada@",
    "zolorg@",
    "Zolname",
    "zolphone",
    "Zolstreet",
    "Zolcity",
    "ZOL 1PC",
    "zolkey",
    "zolreason",
];

fn address() -> Value {
    json!({"name": "Zolname Lovelace", "line1": "12 Zolstreet", "line2": "Zolname's", "city":
        "Zolcity", "region": "Zolcity", "postal_code": "ZOL 1PC", "country": "GB",
        "phone": "zolphone"})
}

/// A shop in which one customer has done all that can be done.
struct Life {
    app: App,
    letters: Letterbox,
    /// The customer's sessions.
    token: String,
    phone: String,
    /// One order for each way of placing, and what the first guest's placing answered.
    orders: Vec<Value>,
}

impl Life {
    async fn lived() -> Self {
        let letters = Letterbox::new();
        let redis = services().redis();
        let url = letters.url();
        let app = App::configured(&[("REDIS__URL", redis), ("MAIL__URL", &url)]).await;
        app.stocked("A", 100, 100).await;
        let body = json!({"email": "zolada@example.com", "password": PASSWORD,
            "name": "Zolname Lovelace", "phone": "zolphone"});
        post(&app, "/v1/customers", &body).await.ok(201);
        let guest = app.session().await;
        let mut life =
            Self { app, letters, token: guest, phone: String::new(), orders: Vec::new() };
        // As a guest: a cart, a checkout, an order at once.
        life.shop().await;
        life.token = log_in(&life.app, Some(&life.token.clone()), "zolada@example.com").await;
        life.phone = life.collided().await;
        // The same once more, logged in.
        life.shop().await;
        life.account().await;
        life
    }

    /// Logged in once more, as a guest who had used a key of the customer's.
    async fn collided(&self) -> String {
        let details = json!({"email": "zolada@example.com", "shipping_address": address()});
        let guest = self.app.session().await;
        Answer::of(self.app.shopping(&guest, Method::PATCH, "", &details)).await.ok(200);
        let add = json!({"sku": "A", "quantity": 1});
        for token in [&self.token, &guest] {
            let adding = self.app.shopping(token, Method::POST, "/items", &add);
            Answer::of(adding.header("Idempotency-Key", "zolkey-same")).await.ok(200);
        }
        log_in(&self.app, Some(&guest), "zolada@example.com").await
    }

    async fn place(&mut self, body: Value, session: Option<&str>) -> Value {
        let mut body = body;
        body["email"] = json!("zolada@example.com");
        body["shipping_address"] = address();
        let request = match session {
            Some(token) => {
                let key = format!("zolkey-{}", fresh_key());
                self.app.placing(&key, &body).bearer_auth(token)
            }
            // A key that nobody owns stays, without what it answers.
            None => self.app.placing(&fresh_key(), &body),
        };
        let order = Answer::of(request).await.ok(201);
        self.orders.push(order.clone());
        order
    }

    async fn shop(&mut self) {
        let token = self.token.clone();
        let key = format!("zolkey-{}", fresh_key());
        let add = json!({"sku": "A", "quantity": 1});
        let details = json!({"email": "zolada@example.com", "shipping_address": address()});
        Answer::of(self.app.shopping(&token, Method::PATCH, "", &details)).await.ok(200);
        let adding = self.app.shopping(&token, Method::POST, "/items", &add);
        Answer::of(adding.header("Idempotency-Key", &key)).await.ok(200);
        let pay = json!({"payment": {"provider": "manual"}});
        let checkout = self.app.shopping(&token, Method::POST, "/checkout", &pay);
        let order = Answer::of(checkout.header("Idempotency-Key", format!("{key}-2"))).await;
        self.orders.push(order.ok(201));
        // Something stays in the cart.
        self.app.add_to_cart(&token, &add).await.ok(200);
        self.place(paid_with("ok", &[("A", 1)]), Some(&token)).await;
        // Declined, and paid by whoever holds its secret.
        let declined = self.place(paid_with("decline", &[("A", 1)]), Some(&token)).await;
        let pay = json!({"provider": "test", "token": "ok"});
        let path = format!("/v1/orders/{}/payments", declined["id"].as_str().unwrap());
        let secret = declined["access_token"].as_str().unwrap();
        let request = self.app.request(Method::POST, &path).header("X-Order-Token", secret);
        let request = request.header("Idempotency-Key", fresh_key()).json(&pay);
        Answer::of(request).await.ok(200);
        // Cancelled, for a reason, by whoever holds its secret.
        let given_up = self.place(order_of(&[("A", 1)]), Some(&token)).await;
        let path = format!("/v1/orders/{}/cancel", given_up["id"].as_str().unwrap());
        let secret = given_up["access_token"].as_str().unwrap();
        let request = self.app.request(Method::POST, &path).header("X-Order-Token", secret);
        let request = request.header("Idempotency-Key", fresh_key());
        Answer::of(request.json(&json!({"reason": "zolreason"}))).await.ok(200);
        // Still to be paid.
        self.place(paid_with("decline", &[("A", 1)]), Some(&token)).await;
    }

    async fn account(&mut self) {
        let subject = "Confirm your e-mail address";
        let mail = self.letters.wait("zolada@example.com", subject, 1).await;
        let token = json!({"token": mail.token()});
        assert_eq!(post(&self.app, "/v1/customers/verify-email", &token).await.status, 204);
        let claimed = self.place(order_of(&[("A", 1)]), None).await;
        let claim = json!({"order_id": claimed["id"]});
        self.my(Method::POST, "/orders", &claim).await.ok(200);
        let saved = json!({"address": address()});
        let path = "/v1/customers/me/addresses";
        let save = self.app.request(Method::POST, path).bearer_auth(&self.token).json(&saved);
        let save = save.header("Idempotency-Key", "zolkey-address");
        Answer::of(save).await.ok(201);
        let forgotten = json!({"email": "zolada@example.com"});
        post(&self.app, "/v1/customers/password-reset", &forgotten).await;
        let change = json!({"password": PASSWORD, "email": "zolorg@example.com"});
        assert_eq!(self.my(Method::POST, "/email", &change).await.status, 202);
        self.letters.wait("zolorg@example.com", subject, 1).await;
    }

    async fn my(&self, method: Method, path: &str, body: &Value) -> Answer {
        my(&self.app, &self.token, method, path, body).await
    }
}

/// What Redis holds that contains one of the marks.
async fn remembered() -> Vec<String> {
    let url = services().redis();
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys = until(async || {
        let keys = redis::cmd("KEYS").arg("*").query_async(&mut connection).await;
        let keys: Vec<Vec<u8>> = keys.unwrap();
        if keys.is_empty() { Err("nothing is remembered") } else { Ok(keys) }
    })
    .await;
    let mut found = Vec::new();
    for key in keys {
        let dump: Option<Vec<u8>> =
            redis::cmd("DUMP").arg(&key).query_async(&mut connection).await.unwrap();
        let value: Option<Vec<u8>> = connection.get(&key).await.unwrap_or_default();
        let all = [key, dump.unwrap_or_default(), value.unwrap_or_default()].concat();
        let all = String::from_utf8_lossy(&all).to_lowercase();
        let marks = MARKS.iter().filter(|mark| all.contains(&mark.to_lowercase()));
        found.extend(marks.map(|mark| (*mark).to_owned()));
    }
    found
}

#[tokio::test]
async fn after_erasing_nothing_of_the_person_is_left_anywhere() {
    let life = Life::lived().await;
    let app = &life.app;
    app.get("/v1/products").await.ok(200);
    let database = &app.database;
    let columns = |holders: Vec<String>| -> BTreeSet<String> {
        holders.into_iter().map(|h| h.split(':').next().unwrap().to_owned()).collect()
    };
    let before = columns(database.holders(&MARKS).await);
    for column in [
        "customers.email",
        "customers.name",
        "customers.phone",
        "customer_addresses.address",
        "carts.email",
        "carts.shipping_address",
        "orders.email",
        "orders.shipping_address",
        "orders.cancel_reason",
        "idempotency_keys.body",
        "idempotency_keys.key",
        "mails.recipient",
        "mails.payload",
        "customer_tokens.email",
    ] {
        assert!(before.contains(column), "{column} was not filled: {before:?}");
    }
    let books = "SELECT count(*) * 1000000 + sum(o.total) + (SELECT sum(total) FROM order_lines)
                     + (SELECT sum(amount) FROM payments) FROM orders o";
    let books = format!("SELECT ({books})::bigint");
    let sums = database.number(&books).await;
    let erased = life.my(Method::DELETE, "", &Value::Null).await;
    assert_eq!((erased.status, erased.bytes.len()), (204, 0));
    assert_eq!(database.holders(&MARKS).await, [""; 0]);
    assert_eq!(remembered().await, [""; 0]);
    assert_eq!(database.number(&books).await, sums, "the books are as they were");
    database.assert_clean();
    // The orders are opened by their secrets, and are nobody's.
    for order in &life.orders {
        let shown = app.order(order).await;
        assert_eq!((&shown["number"], &shown["total"]), (&order["number"], &order["total"]));
        assert_eq!(shown["email"], "erased@example.invalid");
        let gone = json!({"name": "(erased)", "line1": "(erased)", "city": "(erased)",
            "country": "GB"});
        assert_eq!(shown["shipping_address"], gone);
    }
    // Nobody is there any more, also where the session is still believed.
    for token in [&life.token, &life.phone] {
        get_as(app, token, "/v1/customers/me").await.problem(401, "unauthorized");
        get_as(app, token, "/v1/cart").await.problem(401, "unauthorized");
    }
    let email = "zolada@example.com";
    try_to_log_in(app, None, email, PASSWORD).await.problem(401, "unauthorized");
    register(app, email).await.ok(201);
    let orders = get_as(app, &log_in(app, None, email).await, "/v1/orders").await.ok(200);
    assert_eq!(orders["items"], json!([]));
}

#[tokio::test]
async fn what_comes_after_its_customer_is_erased_too() {
    let app = App::start().await;
    app.stocked("A", 100, 10).await;
    register(&app, "zolada@example.com").await.ok(201);
    let other = App::with(&app.database, &[]).await;
    let token = log_in(&app, None, "zolada@example.com").await;
    // This payment is answered after its customer has gone.
    let mut body = paid_with("timeout", &[("A", 1)]);
    body["email"] = json!("zolada@example.com");
    let key = fresh_key();
    let placing = app.placing(&key, &body).bearer_auth(&token);
    let waiting = Answer::of(placing).await.ok(201);
    assert_eq!(waiting["payment_status"], "processing");
    get_as(&other, &token, "/v1/session").await.ok(200);
    assert_eq!(my(&app, &token, Method::DELETE, "", &Value::Null).await.status, 204);
    // The other instance still believes the session, for less than a second.
    let added = other.add_to_cart(&token, &json!({"sku": "A", "quantity": 1})).await;
    added.problem(401, "unauthorized");
    let late = other.placing(&fresh_key(), &body).bearer_auth(&token);
    let late = Answer::of(late).await;
    let due = "UPDATE erasures SET due_at = now(), erased_at = now() - interval '6 minutes'";
    let open = "SELECT count(*) FROM erasures";
    within(Duration::from_secs(40), async || {
        app.database.execute(due).await;
        sleep(Duration::from_millis(500)).await;
        let is_over = app.database.number(open).await == 0;
        is_over.then_some(()).ok_or("the erasure does not end")
    })
    .await;
    assert_eq!(app.database.holders(&["zolada"]).await, [""; 0]);
    let tied = "SELECT count(*) FROM orders WHERE shopper_id IS NOT NULL";
    assert_eq!(app.database.number(tied).await, 0);
    let placed = 1 + i64::from(late.status == 201);
    assert_eq!(app.database.number("SELECT count(*) FROM orders").await, placed);
    app.database.assert_clean();
}

#[tokio::test]
async fn of_very_many_keys_those_that_do_not_go_at_once_go_soon() {
    let app = App::start().await;
    register(&app, "zolada@example.com").await.ok(201);
    let token = log_in(&app, None, "zolada@example.com").await;
    let scope = "SELECT count(*) FROM idempotency_keys WHERE scope LIKE '%cus_%'";
    app.stocked("A", 100, 10).await;
    let placing = app.placing(&fresh_key(), &paid_with("ok", &[("A", 1)])).bearer_auth(&token);
    Answer::of(placing).await.ok(201);
    let more = "INSERT INTO idempotency_keys (scope, key, request_hash, status, body)
        SELECT scope, n::text, request_hash, 200, body
        FROM (SELECT * FROM idempotency_keys WHERE scope LIKE '%cus_%' LIMIT 1) k,
            generate_series(1, 25000) n";
    app.database.execute(more).await;
    assert_eq!(app.database.number(scope).await, 25_001);
    assert_eq!(my(&app, &token, Method::DELETE, "", &Value::Null).await.status, 204);
    assert_eq!(app.database.number(scope).await, 15_001);
    app.database.execute("UPDATE erasures SET due_at = now()").await;
    app.database.until(scope, 0).await;
}

#[tokio::test]
async fn an_erasure_that_fails_keeps_no_other_waiting() {
    let app = App::start().await;
    let fails = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RAISE EXCEPTION ''a page is damaged''; END';
        CREATE TRIGGER fails BEFORE DELETE ON erasures FOR EACH ROW
            WHEN (OLD.erased_at < now() - interval '1 day') EXECUTE FUNCTION fail();
        INSERT INTO erasures (customer_id, erased_at, due_at)
        SELECT gen_random_uuid(), now() - minutes, now() - minutes
        FROM unnest(ARRAY['2 days', '10 minutes']::interval[]) AS minutes";
    app.database.execute(fails).await;
    app.database.until("SELECT count(*) FROM erasures", 1).await;
}

#[tokio::test]
async fn everything_that_is_held_of_a_customer_is_given_out() {
    let life = Life::lived().await;
    let answer = life.my(Method::GET, "/export", &Value::Null).await;
    let export = answer.ok(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(export["customer"]["email"], "zolada@example.com");
    assert_eq!(export["addresses"][0]["address"], address());
    assert_eq!(export["cart"]["email"], "zolada@example.com");
    assert_eq!(export["cart"]["items"].as_array().unwrap().len(), 1);
    assert_eq!(export["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(export["mails"].as_array().unwrap().len(), 4);
    assert_eq!(export["tokens"].as_array().unwrap().len(), 2);
    let keys = export["idempotency_keys"].as_array().unwrap();
    assert!(keys.iter().any(|key| key["key"] == "zolkey-address" && key["status"] == 201));
    let orders = export["orders"].as_array().unwrap();
    let numbers = |orders: &[Value]| -> BTreeSet<String> {
        orders.iter().map(|order| order["number"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(numbers(orders), numbers(&life.orders));
    assert!(orders.iter().all(|order| order["shipping_address"] == address()));
    assert!(orders.iter().all(|o| o["items"].as_array().unwrap().len() == 1));
    assert!(orders.iter().all(|o| !o["payments"].as_array().unwrap().is_empty()));
    let text = String::from_utf8(answer.bytes.clone()).unwrap();
    for secret in [PASSWORD, "argon2id", &life.token, "access_token", "dbm_"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let bob = log_in_as_another(&life.app).await;
    let his = my(&life.app, &bob, Method::GET, "/export", &Value::Null).await.ok(200);
    assert_eq!(his["orders"], json!([]));
    assert!(!his.to_string().contains("zol"), "{his}");
}

#[tokio::test]
async fn an_export_of_many_orders_is_whole() {
    let app = App::start().await;
    app.stocked("A", 100, 100).await;
    register(&app, "ada@example.com").await.ok(201);
    let token = log_in(&app, None, "ada@example.com").await;
    for count in [0, 20, 21, 45] {
        let known = app.database.number("SELECT count(*) FROM orders").await;
        for _ in known..count {
            let placing = app.placing(&fresh_key(), &order_of(&[("A", 1)])).bearer_auth(&token);
            Answer::of(placing).await.ok(201);
        }
        let export = my(&app, &token, Method::GET, "/export", &Value::Null).await.ok(200);
        let orders = export["orders"].as_array().unwrap().iter();
        let ids: BTreeSet<&str> = orders.map(|order| order["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len() as i64, count);
    }
}

#[tokio::test]
async fn an_export_of_many_keys_is_whole() {
    let app = App::start().await;
    register(&app, "ada@example.com").await.ok(201);
    let token = log_in(&app, None, "ada@example.com").await;
    let me = my(&app, &token, Method::GET, "", &Value::Null).await.ok(200);
    let mut known = 0;
    for count in [0, 1, 1_000, 1_001, 2_500] {
        let sql = format!(
            "INSERT INTO idempotency_keys (scope, key, request_hash, status, body)
             SELECT 'customer:{}', 'key-' || n, '', 200, '{{}}'
             FROM generate_series({known} + 1, {count}) n",
            me["id"].as_str().unwrap()
        );
        app.database.execute(&sql).await;
        known = count;
        let export = my(&app, &token, Method::GET, "/export", &Value::Null).await.ok(200);
        let keys = export["idempotency_keys"].as_array().unwrap().iter();
        let keys: BTreeSet<&str> = keys.map(|key| key["key"].as_str().unwrap()).collect();
        assert_eq!(keys.len(), count);
        assert_eq!(export["orders"], json!([]));
    }
}

async fn log_in_as_another(app: &App) -> String {
    register(app, "bob@example.com").await.ok(201);
    log_in(app, None, "bob@example.com").await
}

/// Where each table that mentions a customer stands in the export.
const EXPORTED: &[(&str, &str)] = &[
    ("customers", "customer"),
    ("customer_addresses", "addresses"),
    ("sessions", "sessions"),
    ("carts", "cart"),
    ("mails", "mails"),
    ("customer_tokens", "tokens"),
    ("idempotency_keys", "idempotency_keys"),
    ("orders", "orders"),
    ("order_lines", "orders/0/items"),
    ("payments", "orders/0/payments"),
];

/// Tables that mention a customer and are not in the export, with the reason.
const NOT_EXPORTED: &[(&str, &str)] = &[
    ("erasures", "who stands there is no customer any more, and nothing but the id is there"),
    ("audit_log", "what staff changed, and from which address; nothing of it is about customers"),
    ("staff", "whoever works for the shop has that account apart from any other"),
];

#[tokio::test]
async fn no_table_that_mentions_a_customer_is_missing_in_the_export() {
    let life = Life::lived().await;
    let export = life.my(Method::GET, "/export", &Value::Null).await.ok(200);
    // By foreign keys, to customers and to tables that have one, and by the names of columns.
    let sql = "WITH RECURSIVE keys AS (
                   SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent
                   FROM pg_constraint WHERE contype = 'f'),
               reached AS (
                   SELECT 'customers' AS name
                   UNION SELECT k.child FROM keys k JOIN reached r ON k.parent = r.name),
               named AS (
                   SELECT table_name::text AS name FROM information_schema.columns
                   WHERE table_schema = 'public' AND (column_name IN ('customer_id', 'shopper_id',
                       'person_id', 'session_id', 'order_id', 'email', 'recipient', 'phone',
                       'scope', 'key_scope', 'merged_into', 'shipping_address', 'address')
                       OR column_name LIKE '%email%' OR column_name LIKE '%address%'))
               SELECT name FROM reached UNION SELECT name FROM named ORDER BY name";
    let rows = life.app.database.rows(sql, &[]).await;
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(found.len() >= EXPORTED.len(), "{found:?}");
    for table in &found {
        let member = EXPORTED.iter().find(|(name, _)| name == table).map(|(_, member)| member);
        let is_excused = NOT_EXPORTED.iter().any(|(name, _)| name == table);
        assert!(
            member.is_some() || is_excused,
            "{table} mentions customers: give it out in GET /v1/customers/me/export, erase it, and \
             name it in EXPORTED, or in NOT_EXPORTED with the reason"
        );
        if let Some(member) = member {
            let held = export.pointer(&format!("/{member}")).unwrap_or(&Value::Null);
            let is_filled = match held {
                Value::Array(items) => !items.is_empty(),
                held => held.is_object(),
            };
            assert!(is_filled, "{table}: nothing at {member}");
        }
    }
    for (table, _) in EXPORTED.iter().chain(NOT_EXPORTED) {
        assert!(found.iter().any(|name| name == table), "{table} is listed and not found");
    }
}
