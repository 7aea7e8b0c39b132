//! Where mails arrive in tests: a folder, or a server that can refuse them.

use super::until;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// A mail that has arrived.
#[derive(Debug, Clone)]
pub struct Mail {
    /// As it was sent.
    pub raw: String,
}

impl Mail {
    fn new(raw: &[u8]) -> Self {
        // Lines that quoted-printable has broken are joined again.
        let raw = String::from_utf8_lossy(raw).replace("=\r\n", "").replace("=3D", "=");
        Self { raw }
    }

    /// A header; each stands in one line.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.raw.split_once("\r\n\r\n").unwrap();
        let start = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(&*start))
    }

    /// The token in its link.
    pub fn token(&self) -> &str {
        let (_, rest) = self.raw.split_once("?token=").expect("a link with a token");
        &rest[..68]
    }
}

/// A folder that mails arrive in.
pub struct Letterbox(pub PathBuf);

impl Letterbox {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("db-mails-{}-{number}", std::process::id())))
    }

    /// The setting `mail.url`.
    pub fn url(&self) -> String {
        format!("file://{}", self.0.display())
    }

    /// All mails to that address, in the order of their writing.
    pub fn to(&self, address: &str) -> Vec<Mail> {
        let Ok(files) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let files = files.map(|file| file.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|e| e == "eml")).collect();
        files.sort();
        let mails = files.iter().map(|path| Mail::new(&std::fs::read(path).unwrap()));
        mails.filter(|mail| mail.header("To") == Some(address)).collect()
    }

    /// The last of so many mails to that address with that subject, once they are there.
    pub async fn wait(&self, address: &str, subject: &str, count: usize) -> Mail {
        until(async || {
            let mut mails = self.to(address);
            mails.retain(|mail| mail.header("Subject") == Some(subject));
            let there = mails.len();
            let last = mails.pop().filter(|_| there >= count);
            last.ok_or_else(|| format!("{subject}: {there} mails of {count}"))
        })
        .await
    }
}

impl Drop for Letterbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A mail server. It refuses as many mails as it is told to.
pub struct MailServer {
    pub url: String,
    pub refusals: Arc<AtomicU32>,
    pub mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (refusals, mails) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { url, refusals: refusals.clone(), mails: mails.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, refusals.clone(), mails.clone()));
            }
        });
        server
    }

    /// How many mails have come.
    pub async fn count(&self) -> usize {
        self.mails.lock().await.len()
    }

    pub async fn wait(&self, count: usize) {
        until(async || match self.count().await {
            there if there < count => Err(format!("{there} mails of {count}")),
            _ => Ok(()),
        })
        .await;
    }
}

async fn converse(stream: TcpStream, refusals: Arc<AtomicU32>, mails: Arc<Mutex<Vec<Mail>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let _ = write.write_all(b"220 test\r\n").await;
    while let Ok(Some(line)) = lines.next_line().await {
        let take_one = |left: u32| left.checked_sub(1);
        let answer: &[u8] = match line.split([' ', ':']).next().unwrap() {
            "RCPT"
                if refusals
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one)
                    .is_ok() =>
            {
                b"451 <somebody@example.com>: not now\r\n"
            }
            "DATA" => {
                let _ = write.write_all(b"354 go on\r\n").await;
                let mut raw = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    raw += &format!("{line}\r\n");
                }
                mails.lock().await.push(Mail::new(raw.as_bytes()));
                b"250 taken\r\n"
            }
            "QUIT" => {
                let _ = write.write_all(b"221 bye\r\n").await;
                return;
            }
            _ => b"250 ok\r\n",
        };
        if write.write_all(answer).await.is_err() {
            return;
        }
    }
}
