//! Passwords: argon2id, on threads of their own that stand back and with a bounded queue, so that a
//! storm of people who log in cannot starve the checkout.

use super::customer::is_guessable;
use crate::error::{Code, FieldError, Problem};
use crate::metrics;
use crate::rate_limit::Guess;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// 19 MiB, two passes, one lane: OWASP's Password Storage Cheat Sheet. About 26 ms of a core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

type Job = Box<dyn FnOnce(&Argon2<'static>) + Send>;

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    jobs: SyncSender<Job>,
    /// The hash of no password.
    decoy: Arc<str>,
}

impl Passwords {
    /// So many threads, and so many passwords that may wait for them; more are refused with
    /// `overloaded`. An error is a sentence for the operator.
    pub fn start(threads: usize, queue_max: usize) -> Result<Self, String> {
        let argon = argon()?;
        let (jobs, queue) = sync_channel::<Job>(queue_max);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let (queue, argon) = (queue.clone(), argon.clone());
            let thread = thread::Builder::new().name("passwords".to_owned());
            let started = thread.spawn(move || work(&queue, &argon));
            started
                .map_err(|error| format!("no thread for passwords can be started: {error}"))?;
        }
        Ok(Self { jobs, decoy: decoy().into() })
    }

    /// The PHC string of a new password for the account with this address, unless it is one that
    /// is tried first.
    pub async fn hash(&self, password: String, email: String) -> Result<String, Problem> {
        let job = move |argon: &Argon2<'static>| match is_guessable(&password, &email) {
            true => Err(Problem::validation(vec![FieldError::new(
                "/password",
                "is one of those that are tried first: take a longer one, or a few words",
            )])),
            false => hash(argon, password.as_bytes()),
        };
        self.run(job).await?
    }

    /// The guess, if this is the password of the hash; if not, it counts as a failure.
    pub async fn prove(
        &self,
        guess: Guess,
        password: String,
        hash: Option<&str>,
    ) -> Result<Option<Guess>, Problem> {
        if self.verify(password, hash).await? {
            return Ok(Some(guess));
        }
        guess.failed().await;
        Ok(None)
    }

    /// Whether the password is the one of this hash. Without a hash it is not, which takes as
    /// long: nobody learns who has an account.
    async fn verify(&self, password: String, hash: Option<&str>) -> Result<bool, Problem> {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let is_right = self.run(move |argon| verify(argon, &password, &hash)).await??;
        Ok(is_right && is_known)
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |argon| {
            // Who has hung up is not worked for.
            if !answer.is_closed() {
                let _ = answer.send(job(argon));
            }
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => {
                Problem::new(Code::Overloaded, "Too many passwords are waiting to be checked.")
            }
            TrySendError::Disconnected(_) => Problem::internal("no thread looks at passwords"),
        })?;
        answered.await.map_err(|_| Problem::internal("a password was not looked at"))
    }
}

/// How far these threads stand back while others want the processors; 20 would be for ever.
const NICENESS: i32 = 10;

/// Until the last handle is dropped.
fn work(queue: &Mutex<Receiver<Job>>, argon: &Argon2<'static>) {
    // Of this thread alone, on Linux. Elsewhere they are like the others.
    if cfg!(target_os = "linux") {
        let _ = rustix::process::setpriority_process(None, NICENESS);
    }
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // One password that cannot be looked at must not take the thread from all others.
        if catch_unwind(AssertUnwindSafe(|| job(argon))).is_err() {
            metrics::actor_restart("passwords");
        }
    }
}

fn argon() -> Result<Argon2<'static>, String> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|error| format!("argon2 refuses its parameters: {error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Like the hash of a password, so that looking at it takes as long.
fn decoy() -> String {
    let (salt, hash): ([u8; 16], [u8; 32]) = rand::random();
    let [salt, hash] = [&salt[..], &hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}")
}

fn hash(argon: &Argon2<'_>, password: &[u8]) -> Result<String, Problem> {
    let hash = argon.hash_password(password).map_err(Problem::internal)?;
    Ok(hash.to_string())
}

fn verify(argon: &Argon2<'_>, password: &str, hash: &str) -> Result<bool, Problem> {
    let hash = PasswordHash::new(hash).map_err(Problem::internal)?;
    Ok(argon.verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right_and_nobody_knows_that_of_nobody() {
        let passwords = Passwords::start(1, 8).unwrap();
        let hash = passwords.hash("difference engine".to_owned(), String::new()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let other = passwords.hash("difference engine".to_owned(), String::new()).await.unwrap();
        assert_ne!(hash, other, "each has a salt of its own");
        let is = async |password: &str, hash: Option<&str>| {
            passwords.verify(password.to_owned(), hash).await.unwrap()
        };
        assert!(is("difference engine", Some(&hash)).await);
        assert!(!is("difference engines", Some(&hash)).await);
        assert!(!is("difference engine", None).await);
    }

    #[tokio::test]
    async fn more_passwords_than_may_wait_are_refused_at_once() {
        let passwords = Passwords::start(1, 1).unwrap();
        let tries =
            (0..20).map(|_| passwords.hash("difference engine".to_owned(), String::new()));
        let answers = futures_util::future::join_all(tries).await;
        let refused = answers
            .iter()
            .filter(|answer| matches!(answer, Err(problem) if problem.code == Code::Overloaded));
        let (refused, done) = (refused.count(), answers.iter().filter(|a| a.is_ok()).count());
        assert!(refused > 0 && done > 0 && refused + done == 20, "{refused} and {done}");
    }
}
