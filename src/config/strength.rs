//! Whether a secret is one: what production refuses.

/// Characters of a secret, at least.
const LENGTH_MIN: usize = 32;

/// Different characters, at least. Of 32 random hexadecimal digits fourteen differ.
const DIFFERENT_MIN: usize = 8;

/// What people write who mean to replace it later. Long enough not to come about by chance.
const PLACEHOLDERS: [&str; 8] =
    ["01234567", "change", "default", "example", "password", "placeholder", "secret", "sk_test"];

/// Passwords of databases that are tried first.
const FIRST_TRIED: [&str; 8] =
    ["123456", "admin", "changeme", "doorbuster", "password", "postgres", "root", "secret"];

/// What is wrong with a secret key, if anything.
pub(super) fn weakness(secret: &str) -> Option<&'static str> {
    let characters: Vec<char> = secret.chars().collect();
    let different: std::collections::BTreeSet<_> = characters.iter().collect();
    let lower = secret.to_lowercase();
    if characters.len() < LENGTH_MIN {
        Some("must have at least 32 characters")
    } else if different.len() < DIFFERENT_MIN || is_repetition(&characters) {
        Some("must not repeat itself: make it with `openssl rand -hex 32`")
    } else if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        Some("must not be a placeholder: make it with `openssl rand -hex 32`")
    } else {
        None
    }
}

/// Whether it is one piece over and over, perhaps behind a prefix such as `sk_`.
fn is_repetition(characters: &[char]) -> bool {
    let piece = characters.rsplit(|letter| *letter == '_').next().unwrap_or(characters);
    let repeats = |period: &usize| piece[*period..] == piece[..piece.len() - period];
    piece.len() >= 4 && (1..=piece.len() / 2).any(|period| repeats(&period))
}

/// Whether the password of a database's user is among those that are tried first.
pub(super) fn is_first_tried(user: Option<&str>, password: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(password).to_lowercase();
    user.is_some_and(|user| user.to_lowercase() == lower) || FIRST_TRIED.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_that_were_never_meant_to_stay_are_weak() {
        for weak in [
            "",
            "sk_short",
            "sk_6f1c0f7b3ad94e28b7516a0d9c2e",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabdabcabdabcabdabcabdabcabdabcabdabcabd",
            "sk_9f8e7d6c5b4a39289f8e7d6c5b4a3928",
            "sk_test_6f1c0f7b3ad94e28b7516a0d9c2e4b85",
            "sk_0123456789abcdef6f1c0f7b3ad94e28b7516a",
            "please-Change-this-key-before-you-go-live",
            "my-PASSWORD-is-long-but-everybody-knows-it",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        assert_eq!(weakness("sk_6f1c0f7b3ad94e28b7516a0d9c2e4b85"), None);
    }

    #[test]
    fn passwords_that_are_tried_first_are_known() {
        assert!(is_first_tried(Some("shop"), b"Shop"));
        assert!(is_first_tried(None, b"postgres"));
        assert!(!is_first_tried(Some("shop"), b"6f1c0f7b"));
    }

    proptest! {
        #[test]
        fn no_random_key_is_refused(bytes in any::<[u8; 32]>()) {
            let different: std::collections::BTreeSet<_> = bytes.iter().collect();
            prop_assume!(different.len() > 16);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(weakness(&format!("sk_{hex}")), None);
        }
    }
}
