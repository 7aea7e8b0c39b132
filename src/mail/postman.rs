//! The postman sends the mails that are due. One goes round on every instance; a mail that one of
//! them has taken is left alone by the others until its next try.

use super::letter::{Letter, Template};
use super::store::{self, Due};
use super::way::Way;
use crate::auth::Secrets;
use crate::config;
use crate::error::Problem;
use crate::metrics::{self, MailOutcome};
use crate::postgres::Postgres;
use futures_util::future::join_all;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Between two looks for mails that are due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Mails that are on their way at a time.
const ROUND_MAX: i64 = 20;
/// How long one may take: less than the shortest wait for its next try.
const SEND_MAX: Duration = Duration::from_secs(20);
/// Tries of one mail: the last one is four hours after the first.
const ATTEMPTS_MAX: i32 = 10;

/// The running postman.
pub struct Postman(JoinHandle<()>);

/// What a round needs.
struct Office {
    postgres: Postgres,
    templates: Vec<Template>,
    secrets: Arc<Secrets>,
    from: Mailbox,
    link_base: String,
    way: Way,
}

impl Postman {
    /// Starts it on the runtime of the database connections. Without a way mails wait.
    pub fn start(
        postgres: &Postgres,
        templates: Vec<Template>,
        secrets: Arc<Secrets>,
        settings: &config::Mail,
    ) -> Option<Self> {
        let Some(way) = Way::of(settings.url.expose()) else {
            tracing::warn!("mail.url is not set: mails wait in the database");
            return None;
        };
        let office = Office {
            postgres: postgres.clone(),
            templates,
            secrets,
            from: settings.from.clone(),
            link_base: settings.link_base.clone(),
            way,
        };
        Some(Self(postgres.runtime().spawn(async move {
            loop {
                match office.round().await {
                    Ok(0) => sleep(LOOK_EVERY).await,
                    Ok(_) => {}
                    Err(problem) => {
                        tracing::warn!(%problem, "a round of mails failed; the next one follows");
                        sleep(LOOK_EVERY).await;
                    }
                }
            }
        })))
    }

    /// Stops it. What was on its way is perhaps sent once more.
    pub fn stop(self) {
        self.0.abort();
    }
}

impl Office {
    /// Sends what is due; returns how many were tried.
    async fn round(&self) -> Result<usize, Problem> {
        let due = store::take(&self.postgres.writers, ROUND_MAX).await?;
        let count = due.len();
        let tries = due.into_iter().map(|mail| self.attempt(mail));
        join_all(tries).await.into_iter().collect::<Result<(), _>>()?;
        Ok(count)
    }

    async fn attempt(&self, mail: Due) -> Result<(), Problem> {
        let writers = &self.postgres.writers;
        let sent = match self.message(&mail) {
            Ok(message) => match timeout(SEND_MAX, self.way.send(mail.id, message)).await {
                Ok(sent) => sent,
                Err(_) => Err("it took too long".to_owned()),
            },
            Err(problem) => Err(problem),
        };
        let Err(problem) = sent else {
            metrics::mail(MailOutcome::Sent);
            return store::close(writers, mail.id, true).await;
        };
        let Due { id, kind, attempts, .. } = mail;
        if attempts < ATTEMPTS_MAX {
            metrics::mail(MailOutcome::Failed);
            tracing::warn!(%id, kind, attempts, problem, "a mail was not sent; it is tried again");
            return Ok(());
        }
        metrics::mail(MailOutcome::GivenUp);
        tracing::error!(%id, kind, attempts, problem, "a mail was not sent and is given up");
        store::close(writers, id, false).await
    }

    /// The mail as it is sent. Each try has the same id, so that a second copy is recognised.
    fn message(&self, mail: &Due) -> Result<Message, String> {
        let template = self.templates.iter().find(|template| template.kind == mail.kind);
        let template = template.ok_or("this release does not know such mails")?;
        // Its error would name the recipient.
        let to: Address = mail.recipient.parse().map_err(|_| "the address is none")?;
        let shop = self.from.name.as_deref().unwrap_or(self.from.email.domain());
        let token = self.secrets.mail_token(mail.id);
        let Letter { subject, text, html } =
            template.letter(shop, &mail.payload, &self.link_base, &token);
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        let built = Message::builder()
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .raw_header(HeaderValue::new(name, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(text, html));
        built.map_err(|error| error.to_string())
    }
}
