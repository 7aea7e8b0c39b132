//! The secret that opens a session, and the session that it opens.

use crate::id::{CustomerId, SessionId, ShopperId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

/// What every token begins with, so that a leaked one is recognised.
const PREFIX: &str = "dbs_";

/// A token. Nothing prints it but the answer that hands it out.
pub struct Token(String);

/// SHA-256 of a token: what is stored and looked up.
pub type TokenHash = [u8; 32];

impl Token {
    /// The token of 256 bits of chance.
    pub fn of(secret: &[u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// Reads a token as it was sent; `None` if it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let secret = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (secret.len() == 32).then(|| Self(text.to_owned()))
    }

    /// What to look up.
    pub fn hash(&self) -> TokenHash {
        Sha256::digest(&self.0).into()
    }

    /// The token itself, for the one who gets it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A session that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// Who has logged in; nobody, if it is a guest's.
    pub customer: Option<CustomerId>,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it is over unless it is used.
    pub expires_at: OffsetDateTime,
}

impl Session {
    /// Whose the cart and the orders are.
    pub fn shopper(&self) -> ShopperId {
        self.customer.map_or_else(|| self.id.uuid(), CustomerId::uuid).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_has_one_spelling() {
        let token = Token::of(&[7; 32]);
        assert_eq!(token.expose().len(), 47);
        let read = Token::parse(token.expose()).expect("a token");
        assert_eq!(read.hash(), token.hash());
        assert_ne!(Token::of(&[8; 32]).hash(), token.hash());
        let text = token.expose();
        // The last letter carries two bits that count for nothing.
        let other_spelling = format!("{}d", &text[..46]);
        for wrong in [&text[4..], &text[..46], &format!("{text}="), &other_spelling, "dbs_", ""] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
    }
}
