//! The second factor: codes of six digits that an authenticator makes of a shared secret and the
//! time (RFC 6238), and codes on paper that stand in for it.

use crate::auth::{TokenHash, hash};
use crate::error::Problem;
use totp_rs::{Builder, Secret, Totp};

/// Bytes of a shared secret: 160 bits (RFC 4226, section 4).
pub const SECRET_BYTES: usize = 20;

/// Codes on paper for one account.
pub const RECOVERY_CODES: usize = 10;

/// How the account is called in the authenticator.
const ISSUER: &str = "doorbuster";

fn totp(secret: [u8; SECRET_BYTES], account: &str) -> Result<Totp, Problem> {
    // Some authenticators take a colon for the end of the issuer.
    let account = account.replace(':', "");
    let builder = Builder::new().with_secret(Secret::new_stack(secret));
    let builder = builder.with_issuer(Some(ISSUER)).with_account_name(account);
    builder.build().map_err(Problem::internal)
}

/// A secret in base 32 to be typed, and as a URL for the camera.
pub fn shown(secret: [u8; SECRET_BYTES], account: &str) -> Result<(String, String), Problem> {
    let totp = totp(secret, account)?;
    let url = totp.to_url().map_err(Problem::internal)?;
    Ok((totp.secret().to_base32(), url))
}

/// The step of time that a code belongs to, if it is right at `now` (seconds since 1970), give or
/// take a step, and later than the last one that was used.
pub fn step_of(secret: &[u8], code: &str, now: u64, last: i64) -> Result<Option<i64>, Problem> {
    let secret = secret.try_into().map_err(Problem::internal)?;
    let step = totp(secret, "")?.check(code, now).and_then(|step| i64::try_from(step).ok());
    Ok(step.filter(|step| *step > last))
}

/// Codes on paper of 128 bits of chance each, so that a fast hash is enough (ASVS 5.0, 6.5.2).
pub fn recovery_codes(chance: &[[u8; 16]; RECOVERY_CODES]) -> Vec<String> {
    let code = |bytes: &[u8; 16]| {
        let digits: Vec<String> =
            bytes.chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
        digits.join("-")
    };
    chance.iter().map(code).collect()
}

/// What is stored of a code on paper; however it is spelled.
pub fn recovery_hash(code: &str) -> TokenHash {
    let digits: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    hash(&digits.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, cut to six digits.
    const SECRET: &[u8; SECRET_BYTES] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_rfc_and_good_for_a_step_before_and_after() {
        let step = |code: &str, now| step_of(SECRET, code, now, 0).unwrap();
        assert_eq!(step("287082", 59), Some(1));
        assert_eq!(step("081804", 1_111_111_109), Some(37_037_036));
        assert_eq!(step("287082", 89), Some(1), "a step late");
        assert_eq!(step("287082", 120), None, "two steps late");
        for wrong in ["287083", "94287082", "", "28708", "２８７０８２"] {
            assert_eq!(step(wrong, 59), None, "{wrong}");
        }
    }

    #[test]
    fn a_code_is_good_for_once() {
        assert_eq!(step_of(SECRET, "287082", 59, 0).unwrap(), Some(1));
        assert_eq!(step_of(SECRET, "287082", 59, 1).unwrap(), None);
    }

    #[test]
    fn recovery_codes_differ_and_are_found_however_they_are_spelled() {
        let chance = std::array::from_fn(|code| [code as u8; 16]);
        let codes = recovery_codes(&chance);
        let hashes: std::collections::BTreeSet<_> =
            codes.iter().map(|code| recovery_hash(code)).collect();
        assert_eq!(hashes.len(), RECOVERY_CODES);
        assert_eq!(codes[0].len(), 39);
        let spelled = codes[0].to_uppercase().replace('-', " ");
        assert_eq!(recovery_hash(&spelled), recovery_hash(&codes[0]));
    }

    #[test]
    fn a_secret_fits_into_a_url() {
        let (typed, url) = shown(*SECRET, "ada@example.com").unwrap();
        assert_eq!(typed.len(), 32);
        assert!(url.starts_with("otpauth://totp/") && url.contains(&typed), "{url}");
    }
}
