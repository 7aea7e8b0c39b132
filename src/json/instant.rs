//! A moment as clients write it.

use serde::{Deserialize, Deserializer, de};
use std::str::FromStr;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A moment in RFC 3339, at any offset; in UTC here, as PostgreSQL is given it. Refused is what UTC
/// has no year of four digits for, as at `9999-12-31T23:59:59-01:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub OffsetDateTime);

impl FromStr for Instant {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok();
        let moment = moment.and_then(|moment| moment.checked_to_offset(UtcOffset::UTC));
        let moment = moment.filter(|moment| moment.year() >= 0);
        moment.map(Self).ok_or("must be a time such as 2026-11-27T09:00:00Z")
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_utc_if_utc_has_it() {
        let read = |text: &str| text.parse::<Instant>().map(|Instant(moment)| moment);
        let [here, there] =
            ["2026-11-27T09:00:00Z", "2026-11-27T10:00:00+01:00"].map(|text| read(text).unwrap());
        assert_eq!((here, there.offset()), (there, UtcOffset::UTC));
        for ends in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
            assert!(read(ends).is_ok(), "{ends}");
        }
        for never in
            ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2026-11-27", "now", ""]
        {
            assert!(read(never).is_err(), "{never}");
        }
    }
}
