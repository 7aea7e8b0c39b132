//! A customer, and what is acceptable in one.

use crate::contact::{TEXT_MAX, is_email};
use crate::error::Violations;
use crate::id::CustomerId;
use time::OffsetDateTime;
use zxcvbn::zxcvbn;

/// Characters of a password, at least and at most (ASVS 5.0, 6.2.1 and 6.2.9).
const PASSWORD: std::ops::RangeInclusive<usize> = 8..=256;

/// Decimal digits of the guesses that a password must withstand: it is not among the 3,000 most
/// common ones (ASVS 5.0, 6.2.4), nor one of them in disguise.
const GUESSES_LOG10_MIN: f64 = 3.5;

/// Characters that are looked at when guesses are counted: zxcvbn 3.1 overflows over long walks on
/// the keyboard, and takes longer than the square of their number.
const GUESSED_MAX: usize = 20;

/// Someone with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The id.
    pub id: CustomerId,
    /// The address, as it was typed.
    pub email: String,
    /// Whether somebody who reads its mail has said so.
    pub is_email_verified: bool,
    /// How to address them.
    pub name: Option<String>,
    /// How to call them.
    pub phone: Option<String>,
    /// Grows by one with every change.
    pub version: i64,
    /// When they registered.
    pub created_at: OffsetDateTime,
}

/// What an address is found by: letters in upper and lower case are the same.
pub fn email_key(email: &str) -> String {
    email.to_lowercase()
}

/// Notes what is wrong with an e-mail address.
pub fn check_email(email: &str, violations: &mut Violations) {
    violations.require(is_email(email), "/email", "must be an e-mail address");
}

/// Notes what is wrong with the length of a new password.
pub fn check_password(password: &str, violations: &mut Violations) {
    let is_fine = PASSWORD.contains(&password.chars().count());
    violations.require(is_fine, "/password", "must have 8 to 256 characters");
}

/// Whether the password of the account with this address is among those that are tried first.
/// Takes up to some hundred milliseconds, if somebody means it.
pub fn is_guessable(password: &str, email: &str) -> bool {
    let beginning: String = password.chars().take(GUESSED_MAX).collect();
    email_key(password) == email_key(email)
        || zxcvbn(&beginning, &[email]).guesses_log10() < GUESSES_LOG10_MIN
}

/// Notes what is wrong with a name or a telephone number.
pub fn check_text(text: Option<&str>, pointer: &str, violations: &mut Violations) {
    let is_fine =
        text.is_none_or(|text| !text.trim().is_empty() && text.chars().count() <= TEXT_MAX);
    violations.require(is_fine, pointer, "must have 1 to 200 characters");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(password: &str) -> bool {
        let mut violations = Violations::default();
        check_password(password, &mut violations);
        violations.finish().is_err() || is_guessable(password, "augusta.ada.king@example.com")
    }

    #[test]
    fn passwords_that_are_tried_first_or_too_short_are_refused_and_all_others_are_not() {
        for bad in [
            "password",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "seven77",
            "",
            "Augusta.Ada.King@example.com",
        ] {
            assert!(is_refused(bad), "{bad}");
        }
        assert!(is_refused(&"xK".repeat(129)), "257 characters and one more");
        let long = "correct horse battery staple ".repeat(8);
        let walk = "qazxswedcvfrtgbnhyujm".repeat(12);
        for good in ["hunter-2-lovelace", "Grüße an Ada!", "difference engine", &long, &walk] {
            assert!(!is_refused(good), "{good}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_capitals() {
        assert_eq!(email_key("Ada@Example.COM"), email_key("ada@example.com"));
        assert_eq!(email_key("GRÜN@example.com"), "grün@example.com");
    }
}
