//! What is secret is never written down: not in logs, not in what the command line says.

use crate::harness::{
    ADMIN_KEY, Answer, App, Database, fresh_key, gbp, invited_by_hand, order_of, paid_with,
    services,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;

const PASSWORD: &str = "difference engine no. 2";
const STAFF_PASSWORD: &str = "nanoseconds of wire no. 9";
const EMAIL: &str = "ada.lovelace.1815@example.com";

/// Everything that must not be said.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    /// One that a client sends and nobody knows.
    fn wrong(&mut self, prefix: &str) -> String {
        let secret = format!("{prefix}{}", uuid::Uuid::now_v7().simple());
        self.0.push(secret.clone());
        secret
    }

    fn note(&mut self, secret: &Value) -> String {
        let secret = secret.as_str().expect("a secret").to_owned();
        self.0.push(secret.clone());
        secret
    }
}

/// In `postgres://user:password@…` or `redis+unix://…?pass=password`.
fn password_of(url: &str) -> String {
    let before_host = url.split_once('@').map(|(login, _)| login.rsplit(':').next());
    let in_query = url.split_once("pass=").map(|(_, rest)| rest.split('&').next());
    before_host.or(in_query).flatten().expect("a password").to_owned()
}

/// A customer registers, logs in, fills the cart, checks out, pays and logs out.
async fn shop(app: &App, secrets: &mut Secrets) {
    let account = json!({"email": EMAIL, "password": PASSWORD, "phone": "+44 20 7946 0958"});
    Answer::of(app.request(Method::POST, "/v1/customers").json(&account)).await.ok(201);
    let guest = app.session().await;
    app.add_to_cart(&guest, &json!({"sku": "A", "quantity": 2})).await.ok(200);
    let login = app.request(Method::POST, "/v1/session/login").bearer_auth(&guest);
    let login = login.json(&json!({"email": EMAIL, "password": PASSWORD}));
    let token = secrets.note(&Answer::of(login).await.ok(200)["token"]);
    secrets.0.push(guest);
    let with_cookie = app.request(Method::GET, "/v1/customers/me");
    let with_cookie = with_cookie.header("Cookie", format!("doorbuster_session={token}"));
    Answer::of(with_cookie).await.ok(200);
    let address = order_of(&[])["shipping_address"].clone();
    let change = json!({"email": EMAIL, "shipping_address": address});
    Answer::of(app.shopping(&token, Method::PATCH, "", &change)).await.ok(200);
    let checkout = app.shopping(
        &token,
        Method::POST,
        "/checkout",
        &json!({"payment":
        {"provider": "test", "token": "ok"}}),
    );
    let order = Answer::of(checkout.header("Idempotency-Key", fresh_key())).await.ok(201);
    secrets.note(&order["access_token"]);
    app.order(&order).await;
    let declined = app.place(&paid_with("decline", &[("A", 1)])).await.ok(201);
    secrets.note(&declined["access_token"]);
    app.order_post(&declined, "payments", &json!({"provider": "test", "token": "ok"}))
        .await
        .ok(200);
    let end = app.request(Method::DELETE, "/v1/session").bearer_auth(&token);
    assert_eq!(Answer::of(end).await.status, 204);
}

/// Somebody is hired, turns a second factor on, makes keys, and changes the password; a customer's
/// mail is asked for.
async fn work(app: &App, secrets: &mut Secrets) {
    let post = async |path: &str, token: &str, body: Value| {
        let request = app.request(Method::POST, path).json(&body);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        Answer::of(request).await
    };
    let email = "grace.hopper.1906@example.com";
    let invitation = invited_by_hand(app, email, "owner");
    let accepted = json!({"token": invitation, "password": STAFF_PASSWORD});
    post("/v1/admin/invitations/accept", "", accepted).await.ok(200);
    let login = json!({"email": email, "password": STAFF_PASSWORD});
    let login = post("/v1/admin/session/login", "", login).await.ok(200);
    let token = secrets.note(&login["token"]);
    let offer = json!({"password": STAFF_PASSWORD});
    let offered = post("/v1/admin/session/totp", &token, offer).await.ok(201);
    secrets.note(&offered["secret"]);
    let wrong = json!({"code": "000000"});
    let path = "/v1/admin/session/totp/confirm";
    post(path, &token, wrong).await.problem(422, "validation_failed");
    let secret = json!({"name": "K", "scopes": ["catalog:read"]});
    let public = json!({"name": "P", "kind": "publishable", "channel": "web"});
    for body in [secret, public] {
        let made = post("/v1/admin/api-keys", &token, body).await.ok(201);
        let key = secrets.note(&made["key"]);
        let request = app.request(Method::GET, "/v1/admin/products").bearer_auth(&key);
        Answer::of(request.header("X-Publishable-Key", &key)).await;
        let path = format!("/v1/admin/api-keys/{}/rotate", made["id"].as_str().unwrap());
        secrets.note(&post(&path, &token, json!({})).await.ok(201)["key"]);
    }
    let reset = json!({"email": EMAIL});
    assert_eq!(post("/v1/customers/password-reset", "", reset).await.status, 202);
    secrets.0.extend([invitation, STAFF_PASSWORD.to_owned(), email.to_owned()]);
    let used = json!({"token": secrets.wrong("dbm_"), "password": secrets.wrong("p")});
    let path = "/v1/customers/password-reset/confirm";
    post(path, "", used.clone()).await.problem(422, "validation_failed");
    let path = "/v1/admin/invitations/accept";
    post(path, "", used).await.problem(422, "validation_failed");
}

/// Who guesses, who mistypes, and who puts a secret where none belongs.
async fn guess(app: &App, secrets: &mut Secrets) {
    let get = |path: &str| app.request(Method::GET, path);
    let wrong = get("/v1/admin/orders").bearer_auth(secrets.wrong("sk_"));
    Answer::of(wrong).await.problem(401, "unauthorized");
    let wrong = get("/v1/cart").bearer_auth(secrets.wrong("dbs_"));
    Answer::of(wrong).await.problem(401, "unauthorized");
    let cookie = format!("doorbuster_session={}", secrets.wrong("dbs_"));
    Answer::of(get("/v1/cart").header("Cookie", cookie)).await.problem(401, "unauthorized");
    let basic = get("/v1/cart").basic_auth("ada", Some(secrets.wrong("")));
    Answer::of(basic).await.problem(401, "unauthorized");
    let token = secrets.wrong("dbo_");
    let order = get("/v1/orders/ord_01h455vb4pex5vsknk084sn02q").header("X-Order-Token", token);
    Answer::of(order).await.problem(404, "not_found");
    let query = format!("/v1/products?access_token={}", secrets.wrong(""));
    app.get(&query).await.problem(400, "invalid_request");
    app.get(&format!("/v1/reset/{}", secrets.wrong(""))).await.problem(404, "not_found");
    let login = |body: String| {
        let request = app.request(Method::POST, "/v1/session/login");
        request.header("Content-Type", "application/json").body(body)
    };
    let wrong = json!({"email": EMAIL, "password": secrets.wrong("p")}).to_string();
    Answer::of(login(wrong)).await.problem(401, "unauthorized");
    for (before, after) in [
        ("{\"email\": \"a@b.example\", \"password\": \"", "\","),
        ("{\"email\": \"a@b.example\", \"password\": [\"", "\"]}"),
        ("{\"email\": \"a@b.example\", \"passwort\": \"", "\"}"),
        ("{\"", "\": 1}"),
    ] {
        let body = format!("{before}{}{after}", secrets.wrong("p"));
        Answer::of(login(body)).await.problem(400, "invalid_request");
    }
    let weak = json!({"email": "not an address", "password": secrets.wrong("p")});
    let request = app.request(Method::POST, "/v1/customers").json(&weak);
    Answer::of(request).await.problem(422, "validation_failed");
}

#[tokio::test]
async fn no_secret_is_logged_however_much_is_logged() {
    let redis = services().redis_url.clone().expect("Redis is installed");
    let mut app = App::watched(&[("LOG__FILTER", "trace"), ("REDIS__URL", &redis)]).await;
    let mut secrets = Secrets::default();
    app.stocked("A", 100, 10).await;
    shop(&app, &mut secrets).await;
    work(&app, &mut secrets).await;
    guess(&app, &mut secrets).await;
    let change = json!({"title": "Mug", "variants": [{"sku": "B", "prices": [gbp(1)]}]});
    app.admin_post("/v1/admin/products", &change).await.ok(201);
    let hashes = "SELECT password_hash FROM customers UNION SELECT password_hash FROM staff";
    let rows = app.database.rows(hashes, &[]).await;
    secrets.0.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    for url in [&app.database.url, &redis] {
        secrets.0.push(password_of(url));
    }
    secrets.0.extend([ADMIN_KEY, PASSWORD, EMAIL, "7946 0958", "St James"].map(str::to_owned));
    app.signal("TERM");
    assert_eq!(app.wait(), Some(0));
    let log = app.log();
    assert!(secrets.0.len() > 20);
    for secret in &secrets.0 {
        assert!(secret.len() > 6, "{secret} says nothing");
        let said = log.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(said, None, "{secret}");
    }
    // Much was logged, also of those requests.
    for line in ["/v1/session/login", "/v1/cart/checkout", "unmatched"] {
        assert!(log.contains(line), "{line}\n{log}");
    }
}

#[tokio::test]
async fn the_command_line_does_not_repeat_secrets() {
    let database = Database::new().await;
    let secret = "hunter2-hunter2";
    for (key, value) in [
        ("POSTGRES__URL", format!("postgres://shop:{secret}@[::1:5432/shop")),
        ("POSTGRES__URL", format!("postgres://shop:{secret}@127.0.0.1:1/shop")),
        ("POSTGRES__URL", format!("host=127.0.0.1 port=1 user=shop password={secret} nonsense")),
        ("REDIS__URL", format!("redis://:{secret}@[::1:6379")),
        ("ADMIN__SECRET_KEY", format!("{secret} with spaces")),
        ("ORDER__TOKEN_SECRET", format!("{secret}\u{e9}")),
    ] {
        let mut command = App::command(&database.url);
        let output = command.env(format!("DOORBUSTER__{key}"), value).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && !said.is_empty(), "{key}: {said}");
        assert!(!said.contains(secret), "{said}");
    }
    let mut print = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    print.args(["config", "print"]).env("DOORBUSTER__ADMIN__SECRET_KEY", secret);
    print.env("DOORBUSTER__POSTGRES__URL", format!("postgres://shop:{secret}@db/shop"));
    let said = String::from_utf8(print.output().unwrap().stdout).unwrap();
    assert!(said.contains("admin.secret_key = <set>") && !said.contains(secret), "{said}");
}
