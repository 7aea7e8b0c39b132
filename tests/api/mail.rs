//! Mail: it leaves from the database, at least once, with nothing secret left behind.

use crate::harness::{App, Database, Letterbox, MailServer, log_in, my, register, retention};
use reqwest::Method;
use serde_json::json;
use std::sync::atomic::Ordering;

const VERIFY: &str = "Confirm your e-mail address";

const WAITING: &str = "SELECT count(*) FROM mails WHERE next_try_at IS NOT NULL";
const SENT: &str = "SELECT count(*) FROM mails WHERE sent_at IS NOT NULL";

#[tokio::test]
async fn a_mail_says_the_same_in_text_and_html_and_its_token_is_stored_nowhere() {
    let letters = Letterbox::new();
    let url = letters.url();
    let settings = [
        ("MAIL__URL", &*url),
        ("MAIL__FROM", "Mug Shop <shop@mugs.example>"),
        ("MAIL__LINK_BASE", "https://mugs.example/en/"),
    ];
    let app = App::configured(&settings).await;
    register(&app, "ada@example.com").await.ok(201);
    let mail = letters.wait("ada@example.com", VERIFY, 1).await;
    assert_eq!(mail.header("From"), Some("\"Mug Shop\" <shop@mugs.example>"));
    assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
    assert!(mail.header("Message-ID").unwrap().ends_with("@mugs.example>"));
    assert!(mail.header("Content-Type").unwrap().starts_with("multipart/alternative;"));
    let token = mail.token();
    assert!(token.starts_with("dbm_"), "{token}");
    let link = format!("https://mugs.example/en/verify-email?token={token}");
    assert!(mail.raw.contains(&format!("Confirm the address:\r\n{link}\r\n")), "{}", mail.raw);
    assert!(mail.raw.contains(&format!("<a href=\"{link}\">Confirm the address</a>")));
    assert_eq!(mail.raw.matches("an account at Mug Shop.").count(), 2);
    app.database.until(SENT, 1).await;
    assert_eq!(app.database.holders(&[token, &token[4..]]).await, [""; 0]);
    let hashed = format!(
        "SELECT count(*) FROM customer_tokens
         WHERE token_hash = sha256(convert_to('{token}', 'UTF8'))"
    );
    assert_eq!(app.database.number(&hashed).await, 1);
}

#[tokio::test]
async fn a_mail_that_is_refused_is_tried_again_later_and_given_up_in_the_end() {
    let server = MailServer::start().await;
    let app = App::configured(&[("MAIL__URL", &server.url)]).await;
    server.refusals.store(2, Ordering::SeqCst);
    register(&app, "ada@example.com").await.ok(201);
    let attempts = "SELECT attempts::bigint FROM mails";
    let wait = "SELECT extract(epoch FROM next_try_at - now())::bigint FROM mails";
    let again = "UPDATE mails SET next_try_at = now()";
    app.database.until(attempts, 1).await;
    let first = app.database.number(wait).await;
    assert!((20..=30).contains(&first), "{first}");
    app.database.execute(again).await;
    app.database.until(attempts, 2).await;
    let second = app.database.number(wait).await;
    assert!((50..=60).contains(&second), "{second}");
    assert_eq!(server.count().await, 0);
    app.database.execute(again).await;
    server.wait(1).await;
    app.database.until(WAITING, 0).await;
    // Nobody tries for ever.
    server.refusals.store(100, Ordering::SeqCst);
    register(&app, "bob@example.com").await.ok(201);
    let attempts = "SELECT attempts::bigint FROM mails WHERE sent_at IS NULL";
    for attempt in 1..10 {
        app.database.until(attempts, attempt).await;
        let again = "UPDATE mails SET next_try_at = now() WHERE next_try_at IS NOT NULL";
        app.database.execute(again).await;
    }
    app.database.until(WAITING, 0).await;
    assert_eq!(app.database.number(SENT).await, 1);
    assert_eq!(app.database.number(attempts).await, 10);
    let metrics = String::from_utf8(app.get("/metrics").await.bytes).unwrap();
    for line in [
        "doorbuster_mails_total{outcome=\"sent\"} 1",
        "doorbuster_mails_total{outcome=\"failed\"} 11",
        "doorbuster_mails_total{outcome=\"given_up\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test]
async fn several_instances_send_each_mail_once() {
    let server = MailServer::start().await;
    let settings = [("MAIL__URL", &*server.url)];
    let app = App::configured(&settings).await;
    let _other = App::with(&app.database, &settings).await;
    for number in 0..20 {
        register(&app, &format!("ada{number}@example.com")).await.ok(201);
    }
    server.wait(20).await;
    app.database.until(WAITING, 0).await;
    let mails = server.mails.lock().await;
    let mut recipients: Vec<&str> = mails.iter().map(|mail| mail.header("To").unwrap()).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!((mails.len(), recipients.len()), (20, 20));
}

#[tokio::test]
async fn mails_wait_for_a_server_and_are_not_sent_if_nothing_was_committed() {
    let database = Database::new().await;
    let quiet = App::with(&database, &[]).await;
    register(&quiet, "ada@example.com").await.ok(201);
    register(&quiet, "ada@example.com").await.problem(409, "conflict");
    assert_eq!(database.number(WAITING).await, 1);
    let server = MailServer::start().await;
    let _loud = App::with(&database, &[("MAIL__URL", &server.url)]).await;
    server.wait(1).await;
    database.until(WAITING, 0).await;
    assert_eq!(server.count().await, 1);
}

#[tokio::test]
async fn nothing_that_somebody_types_becomes_a_header_or_markup() {
    let letters = Letterbox::new();
    let url = letters.url();
    let app = App::configured(&[("MAIL__URL", &url)]).await;
    for email in ["ada@example.com\r\nBcc: eve@example.com", "ada@example.com\n", "a b@c.de"] {
        register(&app, email).await.problem(422, "validation_failed");
    }
    register(&app, "ada@example.com").await.ok(201);
    let mail = letters.wait("ada@example.com", VERIFY, 1).await;
    // A stranger may get it, so it says nothing that whoever registered has typed.
    assert!(!mail.raw.contains("Lovelace"), "{}", mail.raw);
    let token = log_in(&app, None, "ada@example.com").await;
    let email = "\"<b>&\"@example.com";
    let change = json!({"password": crate::harness::PASSWORD, "email": email});
    assert_eq!(my(&app, &token, Method::POST, "/email", &change).await.status, 202);
    let notice =
        letters.wait("ada@example.com", "Your e-mail address is about to change", 1).await;
    assert!(notice.raw.contains("becomes \"<b>&\"@example.com as soon"), "{}", notice.raw);
    assert!(notice.raw.contains("becomes &quot;&lt;b&gt;&amp;&quot;@example.com as soon"));
}

#[tokio::test]
async fn old_mails_and_tokens_are_cleared_away() {
    let app = App::configured(&[retention::QUICK]).await;
    register(&app, "ada@example.com").await.ok(201);
    register(&app, "bob@example.com").await.ok(201);
    let whose = "(SELECT id FROM customers WHERE email LIKE 'ada%')";
    app.database
        .execute(&format!(
            "UPDATE mails SET created_at = now() - interval '169 hours' WHERE person_id = {whose};
             UPDATE customer_tokens SET expires_at = now() - interval '61 minutes'
             WHERE customer_id = {whose}"
        ))
        .await;
    app.database.until("SELECT count(*) FROM mails", 1).await;
    app.database.until("SELECT count(*) FROM customer_tokens", 1).await;
}
