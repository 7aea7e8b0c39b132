//! How mails leave: by SMTP, or into a folder for development and tests.

use crate::id::MailId;
use lettre::transport::smtp::Error;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs;
use tokio::io::AsyncWriteExt;

/// How long the server may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How mails leave.
pub enum Way {
    /// To a server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// As files, one for each mail.
    Folder(PathBuf),
}

impl Way {
    /// `smtps://user:password@host`, `smtp://host:587?tls=required` or `file:///folder`.
    pub fn of(url: &str) -> Option<Self> {
        match url.strip_prefix("file://") {
            Some(folder) => folder.starts_with('/').then(|| Self::Folder(folder.into())),
            None => {
                let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).ok()?;
                Some(Self::Smtp(smtp.timeout(Some(ANSWER_MAX)).build()))
            }
        }
    }

    /// Whether mails only go into a folder.
    pub fn is_folder(url: &str) -> bool {
        url.starts_with("file://")
    }

    /// Sends the mail, or says why not: never to whom.
    pub async fn send(&self, id: MailId, message: Message) -> Result<(), String> {
        match self {
            Self::Smtp(smtp) => {
                let sent = smtp.send(message).await;
                sent.map(drop).map_err(|error| describe(&error))
            }
            Self::Folder(folder) => {
                let written = write(folder, id, &message.formatted()).await;
                written.map_err(|error| format!("the file cannot be written: {error}"))
            }
        }
    }
}

/// What a server says may name the recipient, so only its code is told.
fn describe(error: &Error) -> String {
    match error.status() {
        Some(code) => format!("the server answered {code}"),
        None => error.to_string(),
    }
}

/// Whoever looks into the folder sees whole mails only, and nobody else can read them.
async fn write(folder: &Path, id: MailId, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder).await?;
    let unfinished = folder.join(format!("{id}.part"));
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished).await?;
    file.write_all(bytes).await?;
    file.flush().await?;
    fs::rename(&unfinished, folder.join(format!("{id}.eml"))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ways_that_lead_somewhere_are_taken() {
        for good in [
            "smtp://localhost",
            "smtps://shop:secret@mail.example",
            "smtp://mail.example:587?tls=required",
            "file:///tmp/mails",
        ] {
            assert!(Way::of(good).is_some(), "{good}");
        }
        for bad in ["mail.example", "http://mail.example", "file://mails", "smtp://", ""] {
            assert!(Way::of(bad).is_none(), "{bad}");
        }
    }
}
