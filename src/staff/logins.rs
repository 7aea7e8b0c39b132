//! What the staff log in with.
//!
//! Their passwords are looked at on a thread of their own: a storm of customers who log in keeps
//! nobody out who works here.

use super::store::{self, Login};
use super::unauthorized;
use crate::auth::Admin;
use crate::customer::{Passwords, email_key};
use crate::error::{FieldError, Problem};
use crate::peer::Peer;
use crate::postgres::Postgres;
use crate::rate_limit::{Guess, RateLimits};

/// Threads that look at passwords of staff, and passwords that may wait for them.
const THREADS: usize = 1;
const QUEUE_MAX: usize = 50;

/// Looks at passwords of staff.
pub struct Logins {
    passwords: Passwords,
    limits: RateLimits,
    postgres: Postgres,
}

impl Logins {
    /// An error is a sentence for the operator.
    pub fn start(postgres: &Postgres, limits: RateLimits) -> Result<Self, String> {
        let passwords = Passwords::start(THREADS, QUEUE_MAX)?;
        Ok(Self { passwords, limits, postgres: postgres.clone() })
    }

    /// The login with this address, if this is its password. The guess may still turn out wrong by
    /// the second factor.
    pub async fn open(
        &self,
        email: &str,
        password: String,
        from: Peer,
    ) -> Result<Option<(Login, Guess)>, Problem> {
        let guess = self.guess(email, from).await?;
        let login = store::login_of(&self.postgres.readers, email).await?;
        let hash = login.as_ref().map(|login| &*login.password_hash);
        let guess = self.passwords.prove(guess, password, hash).await?;
        Ok(login.zip(guess))
    }

    /// The login of whoever asks, if this is its password; if not, the field at the JSON pointer
    /// is wrong, and not who they are: their session is good.
    pub async fn confirm(
        &self,
        admin: &Admin,
        password: String,
        pointer: &str,
        from: Peer,
    ) -> Result<(Login, Guess), Problem> {
        let login = store::own_login(&self.postgres.readers, admin.staff()?).await?;
        let login = login.ok_or_else(unauthorized)?;
        let guess = self.guess(&login.email, from).await?;
        let guess = self.passwords.prove(guess, password, Some(&login.password_hash)).await?;
        let wrong =
            || Problem::validation(vec![FieldError::new(pointer, "is not your password")]);
        Ok((login, guess.ok_or_else(wrong)?))
    }

    /// The PHC string of a new password for the account with this address.
    pub async fn hash(&self, password: String, email: &str) -> Result<String, Problem> {
        self.passwords.hash(password, email.to_owned()).await
    }

    async fn guess(&self, email: &str, from: Peer) -> Result<Guess, Problem> {
        self.limits.guess(&format!("staff:{}", email_key(email)), from).await
    }
}
