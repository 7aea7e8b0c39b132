//! Secrets that open something to whoever shows them: 256 bits of chance behind a prefix by which
//! a leaked one is recognised. Only the hash is stored.

use crate::error::Problem;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

/// A token. Nothing prints it but the answer that hands it out.
pub struct Token(String);

/// SHA-256 of a token: what is stored and looked up. Nobody finds another text with the same hash,
/// and 256 bits of chance need no slow one.
pub type TokenHash = [u8; 32];

impl Token {
    /// A token that nobody else knows.
    pub fn fresh(prefix: &str) -> Self {
        Self::of(prefix, &rand::random())
    }

    /// The token of 256 bits.
    pub fn of(prefix: &str, secret: &[u8; 32]) -> Self {
        Self(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// Reads a token as it was sent; `None` if it cannot be one.
    pub fn parse(prefix: &str, text: &str) -> Option<Self> {
        let secret = URL_SAFE_NO_PAD.decode(text.strip_prefix(prefix)?).ok()?;
        (secret.len() == 32).then(|| Self(text.to_owned()))
    }

    /// What to look up.
    pub fn hash(&self) -> TokenHash {
        hash(&self.0)
    }

    /// The token itself, for the one who gets it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of a secret as it was sent.
pub fn hash(secret: &str) -> TokenHash {
    Sha256::digest(secret).into()
}

/// The hash in this column, which comes from the database as bytes.
pub fn read_hash(row: &Row, column: usize) -> Result<TokenHash, Problem> {
    row.get::<_, &[u8]>(column).try_into().map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_has_one_spelling() {
        let token = Token::of("dbs_", &[7; 32]);
        assert_eq!(token.expose().len(), 47);
        let read = Token::parse("dbs_", token.expose()).expect("a token");
        assert_eq!(read.hash(), token.hash());
        assert_ne!(Token::of("dbs_", &[8; 32]).hash(), token.hash());
        let text = token.expose();
        assert!(Token::parse("dba_", text).is_none(), "of another kind");
        // The last letter carries two bits that count for nothing.
        let other_spelling = format!("{}d", &text[..46]);
        for wrong in [&text[4..], &text[..46], &format!("{text}="), &other_spelling, "dbs_", ""] {
            assert!(Token::parse("dbs_", wrong).is_none(), "{wrong}");
        }
    }
}
