//! What is limited of one e-mail address.

use super::customer::email_key;
use crate::error::Problem;
use crate::rate_limit::{Ask, RateLimits, Rule};

/// Takes a mail from what may be sent to a mailbox for one reason, or refuses it; who spends it for
/// one reason leaves the others alone. What stands behind a `+` is of the same mailbox.
pub async fn take_mail(limits: &RateLimits, reason: &str, email: &str) -> Result<(), Problem> {
    let key = email_key(email);
    let (local, domain) = key.rsplit_once('@').unwrap_or((&key, ""));
    let mailbox = local.split_once('+').map_or(local, |(mailbox, _)| mailbox);
    let of = format!("{reason}:{mailbox}@{domain}");
    limits.take(&[Ask { rule: Rule::Email, of: of.as_bytes() }]).await?;
    Ok(())
}

/// Under which guesses at the password of an account are counted, apart from those at staff.
pub fn guessed_as(email: &str) -> String {
    format!("customer:{}", email_key(email))
}
