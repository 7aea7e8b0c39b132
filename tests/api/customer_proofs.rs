//! Addresses and passwords of customers: verified, forgotten, changed.

use crate::harness::{Answer, App, Letterbox, PASSWORD, fresh_key, order_of};
use crate::harness::{
    get_as, log_in, my, post, refused_within_a_second, register, try_to_log_in,
};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Instant;

const VERIFY: &str = "Confirm your e-mail address";
const RESET: &str = "Choose a new password";
const CHANGED: &str = "Your password was changed";
const MOVES: &str = "Your e-mail address is about to change";

/// A shop whose mails can be read, with a customer `ada@example.com`.
struct Shop {
    app: App,
    letters: Letterbox,
}

impl Shop {
    async fn open() -> Self {
        let letters = Letterbox::new();
        let url = letters.url();
        let queue = ("CUSTOMER__PASSWORD_QUEUE_MAX", "1000");
        let app = App::configured(&[("MAIL__URL", &url), queue]).await;
        register(&app, "ada@example.com").await.ok(201);
        Self { app, letters }
    }

    /// The token of the mail with that subject, the last one of so many.
    async fn token(&self, address: &str, subject: &str, count: usize) -> String {
        self.letters.wait(address, subject, count).await.token().to_owned()
    }

    async fn verify(&self, token: &str) -> Answer {
        post(&self.app, "/v1/customers/verify-email", &json!({"token": token})).await
    }

    async fn forget(&self, email: &str) -> Answer {
        post(&self.app, "/v1/customers/password-reset", &json!({"email": email})).await
    }

    async fn is_verified(&self, token: &str) -> bool {
        let me = my(&self.app, token, Method::GET, "", &Value::Null).await.ok(200);
        me["email_verified"].as_bool().unwrap()
    }

    async fn change(&self, token: &str, path: &str, body: Value) -> Answer {
        my(&self.app, token, Method::POST, path, &body).await
    }
}

async fn confirm(app: &App, token: &str, password: &str) -> Answer {
    let body = json!({"token": token, "password": password});
    post(app, "/v1/customers/password-reset/confirm", &body).await
}

/// What is wrong is said of that member.
#[track_caller]
fn assert_wrong(answer: &Answer, pointer: &str) {
    let problem = answer.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
}

#[tokio::test]
async fn an_address_is_verified_once_by_whoever_reads_its_mail() {
    let shop = Shop::open().await;
    let ada = log_in(&shop.app, None, "ada@example.com").await;
    assert!(!shop.is_verified(&ada).await);
    let first = shop.token("ada@example.com", VERIFY, 1).await;
    assert_eq!(shop.change(&ada, "/verification", Value::Null).await.status, 202);
    let second = shop.token("ada@example.com", VERIFY, 2).await;
    assert_ne!(first, second);
    for wrong in ["", "dbm_", &first[..67], &first.to_uppercase()] {
        assert_wrong(&shop.verify(wrong).await, "/token");
    }
    let late = "UPDATE customer_tokens SET expires_at = now() - interval '1 second'";
    shop.app
        .database
        .execute(&format!(
            "{late} WHERE created_at = (
        SELECT min(created_at) FROM customer_tokens)"
        ))
        .await;
    assert_wrong(&shop.verify(&first).await, "/token");
    assert_wrong(&confirm(&shop.app, &second, PASSWORD).await, "/token");
    assert!(!shop.is_verified(&ada).await);
    assert_eq!(shop.verify(&second).await.status, 204);
    assert!(shop.is_verified(&ada).await);
    assert_wrong(&shop.verify(&second).await, "/token");
    // Who is verified is not asked again.
    assert_eq!(shop.change(&ada, "/verification", Value::Null).await.status, 202);
    assert_eq!(shop.app.database.number("SELECT count(*) FROM mails").await, 2);
    post(&shop.app, "/v1/customers/me/verification", &json!({}))
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn of_fifty_new_passwords_for_one_token_exactly_one_is_set_and_all_sessions_end() {
    let shop = Shop::open().await;
    let other = App::with(&shop.app.database, &[("CUSTOMER__PASSWORD_QUEUE_MAX", "1000")]).await;
    let phone = log_in(&shop.app, None, "ada@example.com").await;
    let laptop = log_in(&other, None, "ada@example.com").await;
    assert_eq!(shop.forget("ADA@example.com").await.status, 202);
    let token = shop.token("ada@example.com", RESET, 1).await;
    // A password that is refused does not use the token.
    assert_wrong(&confirm(&shop.app, &token, "short").await, "/password");
    assert_wrong(&confirm(&shop.app, &token, "password1").await, "/password");
    let words: Vec<String> = (0..50).map(|n| format!("analytical engine {n}")).collect();
    let tries = words.iter().enumerate().map(|(n, password)| {
        let app = if n % 2 == 0 { &shop.app } else { &other };
        let token = &token;
        async move { confirm(app, token, password).await }
    });
    let answers = join_all(tries).await;
    let set: Vec<usize> = (0..50).filter(|n| answers[*n].status == 204).collect();
    assert_eq!(set.len(), 1, "{set:?}");
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        assert_wrong(answer, "/token");
    }
    let since = Instant::now();
    for (app, session) in [(&shop.app, &phone), (&other, &laptop)] {
        refused_within_a_second(app, session, since).await;
    }
    let email = "ada@example.com";
    try_to_log_in(&shop.app, None, email, PASSWORD).await.problem(401, "unauthorized");
    for (n, password) in words.iter().enumerate().filter(|(n, _)| n % 10 == set[0] % 10) {
        let status = try_to_log_in(&other, None, email, password).await.status;
        assert_eq!(status, if n == set[0] { 200 } else { 401 }, "{n}");
    }
    shop.letters.wait(email, CHANGED, 1).await;
    // Who got that mail reads it.
    let verified = "SELECT count(*) FROM customers WHERE email_verified_at IS NOT NULL";
    assert_eq!(shop.app.database.number(verified).await, 1);
}

#[tokio::test]
async fn asking_for_a_password_tells_nobody_who_has_an_account() {
    let shop = Shop::open().await;
    let written = "SELECT (SELECT count(*) FROM customer_tokens) * 1000
                       + (SELECT count(*) FROM mails)";
    let before = shop.app.database.number(written).await;
    let mut answers = Vec::new();
    for (email, expected) in [("ada@example.com", 1001), ("eve@example.com", 2001)] {
        let answer = shop.forget(email).await;
        let names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        answers.push((answer.status, answer.bytes.clone(), names));
        let after = shop.app.database.number(written).await;
        assert_eq!(after - before, expected, "{email}");
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!((answers[0].0, answers[0].1.len()), (202, 0));
    // What is written for the sake of time names nobody.
    assert_eq!(shop.app.database.holders(&["eve@example.com"]).await, [""; 0]);
    assert_wrong(&shop.forget("no address").await, "/email");
}

#[tokio::test]
async fn nobody_is_flooded_with_mails_by_those_who_know_an_address() {
    let shop = Shop::open().await;
    for _ in 0..8 {
        assert_eq!(shop.forget("ada@example.com").await.status, 202);
    }
    let resets = "SELECT count(*) FROM mails WHERE kind = 'reset_password'";
    assert_eq!(shop.app.database.number(resets).await, 5);
    let ada = log_in(&shop.app, None, "ada@example.com").await;
    for n in 0..8 {
        let body = json!({"password": PASSWORD, "email": format!("ada{n}@example.org")});
        assert_eq!(shop.change(&ada, "/email", body).await.status, 202);
    }
    // One of the five was for the registration.
    let changes = "SELECT count(*) FROM mails WHERE kind = 'verify_email'";
    assert_eq!(shop.app.database.number(changes).await, 5);
    let notices = "SELECT count(*) FROM mails WHERE kind = 'email_changes'";
    assert_eq!(shop.app.database.number(notices).await, 4);
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it_and_other_sessions_end() {
    let shop = Shop::open().await;
    let other = App::with(&shop.app.database, &[]).await;
    let phone = log_in(&shop.app, None, "ada@example.com").await;
    let laptop = log_in(&other, None, "ada@example.com").await;
    let body = |current: &str, new: &str| json!({"current_password": current, "password": new});
    let wrong = shop.change(&phone, "/password", body("guessed it", "analytical engine")).await;
    assert_wrong(&wrong, "/current_password");
    let common = shop.change(&phone, "/password", body(PASSWORD, "password1")).await;
    assert_wrong(&common, "/password");
    shop.forget("ada@example.com").await;
    let pending = shop.token("ada@example.com", RESET, 1).await;
    let changed = shop.change(&phone, "/password", body(PASSWORD, "analytical engine")).await;
    assert_eq!(changed.status, 204);
    let since = Instant::now();
    refused_within_a_second(&other, &laptop, since).await;
    get_as(&shop.app, &phone, "/v1/session").await.ok(200);
    let email = "ada@example.com";
    try_to_log_in(&shop.app, None, email, PASSWORD).await.problem(401, "unauthorized");
    try_to_log_in(&shop.app, None, email, "analytical engine").await.ok(200);
    assert_wrong(&confirm(&shop.app, &pending, "something else").await, "/token");
    shop.letters.wait(email, CHANGED, 1).await;
    // Of many changes at once from one password, one is made.
    let changes = (0..10).map(|n| {
        shop.change(&phone, "/password", body("analytical engine", &format!("engine {n} here")))
    });
    let statuses: Vec<u16> = join_all(changes).await.iter().map(|a| a.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
}

#[tokio::test]
async fn an_address_changes_once_the_new_one_is_verified_and_the_old_one_is_told() {
    let shop = Shop::open().await;
    register(&shop.app, "bob@example.com").await.ok(201);
    let first = shop.token("ada@example.com", VERIFY, 1).await;
    let ada = log_in(&shop.app, None, "ada@example.com").await;
    let to = |email: &str, password: &str| json!({"email": email, "password": password});
    let wrong = shop.change(&ada, "/email", to("ada@example.org", "guessed it")).await;
    assert_wrong(&wrong, "/password");
    let taken = shop.change(&ada, "/email", to("BOB@example.com", PASSWORD)).await;
    let free = shop.change(&ada, "/email", to("ada@example.org", PASSWORD)).await;
    assert_eq!((taken.status, &taken.bytes), (free.status, &free.bytes));
    assert_eq!(free.status, 202);
    shop.letters.wait("ada@example.com", MOVES, 2).await;
    // The later request is the one that counts, and Bob learns in any case only of himself.
    let bobs = shop.token("BOB@example.com", VERIFY, 1).await;
    assert_wrong(&shop.verify(&bobs).await, "/token");
    shop.change(&ada, "/email", to("BOB@example.com", PASSWORD)).await;
    let bobs = shop.token("BOB@example.com", VERIFY, 2).await;
    shop.verify(&bobs).await.problem(409, "conflict");
    shop.change(&ada, "/email", to("Ada@Example.org", PASSWORD)).await;
    let token = shop.token("Ada@Example.org", VERIFY, 1).await;
    let me = my(&shop.app, &ada, Method::GET, "", &Value::Null).await.ok(200);
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("ada@example.com"), &json!(false)));
    assert_eq!(shop.verify(&token).await.status, 204);
    let me = my(&shop.app, &ada, Method::GET, "", &Value::Null).await.ok(200);
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("Ada@Example.org"), &json!(true)));
    let email = "ada@example.com";
    try_to_log_in(&shop.app, None, email, PASSWORD).await.problem(401, "unauthorized");
    log_in(&shop.app, None, "ada@example.org").await;
    // Whoever reads the mail of the address before cannot take the account back.
    assert_wrong(&shop.verify(&first).await, "/token");
    // A new password stops a change that waits.
    shop.change(&ada, "/email", to("eve@example.org", PASSWORD)).await;
    let token = shop.token("eve@example.org", VERIFY, 1).await;
    let body = json!({"current_password": PASSWORD, "password": "analytical engine"});
    assert_eq!(shop.change(&ada, "/password", body).await.status, 204);
    assert_wrong(&shop.verify(&token).await, "/token");
}

#[tokio::test]
async fn who_knew_the_password_before_it_was_reset_does_not_change_the_address_after_it() {
    let shop = Shop::open().await;
    let thief = log_in(&shop.app, None, "ada@example.com").await;
    let mut client = shop.app.database.connect().await;
    let reset = client.transaction().await.unwrap();
    reset.execute("SELECT FROM customers FOR UPDATE", &[]).await.unwrap();
    let body = json!({"password": PASSWORD, "email": "thief@example.com"});
    let asked = async {
        let asked = shop.change(&thief, "/email", body).await;
        assert_wrong(&asked, "/password");
    };
    let reset = async {
        shop.app.database.until_waiting_for_locks(1).await;
        let sets = "UPDATE customers SET password_hash = password_hash || 'x'";
        reset.execute(sets, &[]).await.unwrap();
        reset.commit().await.unwrap();
    };
    tokio::join!(asked, reset);
    assert_eq!(shop.app.database.holders(&["thief@example.com"]).await, [""; 0]);
}

#[tokio::test]
async fn a_guests_order_is_claimed_with_its_verified_address_and_no_other() {
    let shop = Shop::open().await;
    let app = &shop.app;
    app.stocked("A", 100, 10).await;
    let mut body = order_of(&[("A", 1)]);
    body["email"] = json!("ADA@example.com");
    let key = fresh_key();
    let order = app.place_as(&key, &body).await.ok(201);
    let mut of_another = order_of(&[("A", 1)]);
    of_another["email"] = json!("bob@example.com");
    let of_another = app.place(&of_another).await.ok(201);
    let ada = log_in(app, None, "ada@example.com").await;
    let claim = async |order: &Value| {
        shop.change(&ada, "/orders", json!({"order_id": order["id"]})).await
    };
    claim(&order).await.problem(403, "forbidden");
    let token = shop.token("ada@example.com", VERIFY, 1).await;
    assert_eq!(shop.verify(&token).await.status, 204);
    for wrong in
        [&of_another, &json!({"id": "ord_1"}), &json!({"id": "ord_01h455vb4pex5vsknk084sn02q"})]
    {
        assert_wrong(&claim(wrong).await, "/order_id");
    }
    let mine = get_as(app, &ada, "/v1/orders").await.ok(200);
    assert_eq!(mine["items"], json!([]));
    for _ in 0..2 {
        assert_eq!(claim(&order).await.ok(200)["number"], order["number"]);
    }
    let mine = get_as(app, &ada, "/v1/orders").await.ok(200);
    assert_eq!(mine["items"][0]["id"], order["id"]);
    // Nobody takes it from its customer, also with the same address once Ada has left it.
    let change = json!({"email": "ada@example.org", "password": PASSWORD});
    shop.change(&ada, "/email", change).await;
    let token = shop.token("ada@example.org", VERIFY, 1).await;
    assert_eq!(shop.verify(&token).await.status, 204);
    register(app, "ada@example.com").await.ok(201);
    let token = shop.token("ada@example.com", VERIFY, 2).await;
    assert_eq!(shop.verify(&token).await.status, 204);
    let next = log_in(app, None, "ada@example.com").await;
    let claimed = shop.change(&next, "/orders", json!({"order_id": order["id"]})).await;
    assert_wrong(&claimed, "/order_id");
    app.database.assert_clean();
}
