//! Where a client stands, as it is told.

use super::Standing;
use actix_web::http::header::{HeaderName, HeaderValue};

impl Standing {
    /// Requests at once.
    pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
    /// How many of them are left.
    pub const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
    /// Seconds until all of them are there again.
    pub const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

    /// The headers of an answer.
    pub fn headers(&self) -> [(HeaderName, HeaderValue); 3] {
        [
            (Self::LIMIT, number(self.limit)),
            (Self::REMAINING, number(self.remaining)),
            (Self::RESET, number(self.reset_seconds)),
        ]
    }
}

/// Nearly every answer has a small number among them.
fn number(number: u32) -> HeaderValue {
    match number {
        0 => HeaderValue::from_static("0"),
        1 => HeaderValue::from_static("1"),
        number => HeaderValue::from(number),
    }
}
