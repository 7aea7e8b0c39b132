//! Query strings whose errors name the parameter at fault.

use crate::error::Problem;
use crate::json::Instant;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use std::future::{Ready, ready};
use std::str::FromStr;
use time::OffsetDateTime;
use uuid::Uuid;

/// The parameters of a request that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// All values of a parameter that may be repeated.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The value of a parameter that may be given once.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        let value = values.pop();
        if values.is_empty() {
            return Ok(value);
        }
        Err(Problem::invalid(name, "give it once"))
    }

    /// A text, not empty.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.one(name)? {
            Some(text) if text.is_empty() => Err(Problem::invalid(name, "must not be empty")),
            text => Ok(text),
        }
    }

    /// A value that is read by its own type; `expected` says what it must be.
    pub fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let parse = |text: String| text.parse().map_err(|_| Problem::invalid(name, expected));
        self.one(name)?.map(parse).transpose()
    }

    /// `created_from` and `created_to`.
    pub fn created(&mut self) -> Result<Period, Problem> {
        let mut time = |name: &str| {
            let parse = |text: String| {
                let read = text.parse().map_err(|expected| Problem::invalid(name, expected));
                read.map(|Instant(moment)| moment)
            };
            self.one(name)?.map(parse).transpose()
        };
        let (from, to) = (time("created_from")?, time("created_to")?);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(Problem::invalid("created_to", "must be after created_from"));
        }
        Ok(Period { from, to })
    }

    /// Refuses whatever has not been taken.
    pub fn finish(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::invalid(name, "there is no such parameter")),
        }
    }
}

impl FromRequest for Params {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.query_string()))
    }
}

fn parse(query: &str) -> Result<Params, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
    let pairs = pairs.map_err(|_| Problem::invalid("", "The query string cannot be read."))?;
    match pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        Some((name, _)) => Err(Problem::invalid(name.replace('\0', ""), "must not contain NUL")),
        None => Ok(Params(pairs.into_inner())),
    }
}

/// How far the time inside an id may be from PostgreSQL's clock at its commit: the clocks of
/// instances differ, and a batch may wait.
const SKEW: time::Duration = time::Duration::minutes(5);

/// A span of time: from its first instant to before its last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// The first instant, if it has one.
    pub from: Option<OffsetDateTime>,
    /// The first instant after it, if it has an end.
    pub to: Option<OffsetDateTime>,
}

impl Period {
    /// Whether it holds the instant.
    pub fn contains(&self, at: OffsetDateTime) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    /// UUIDv7s of what was made in it lie from the first of these to before the second.
    pub fn ids(&self) -> (Uuid, Uuid) {
        let from = self.from.and_then(|from| from.checked_sub(SKEW));
        let to = self.to.and_then(|to| to.checked_add(SKEW));
        (from.map_or(Uuid::nil(), first_id), to.map_or(Uuid::max(), first_id))
    }
}

/// The smallest UUIDv7 of an instant.
pub fn first_id(at: OffsetDateTime) -> Uuid {
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    Uuid::from_u128(u128::try_from(millis).unwrap_or(0) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn pointer<T>(result: Result<T, Problem>) -> Option<String> {
        result.err().and_then(|problem| problem.errors.into_iter().next()).map(|e| e.pointer)
    }

    #[test]
    fn every_wrong_parameter_is_named_in_the_answer() {
        let params = |query: &str| parse(query).unwrap_or_default();
        assert_eq!(params("a=1&b=2&a=3").all("a"), ["1", "3"]);
        assert_eq!(pointer(params("a=1&a=2").one("a")).as_deref(), Some("a"));
        assert_eq!(pointer(params("a=").text("a")).as_deref(), Some("a"));
        assert_eq!(pointer(params("a=x").parsed::<u32>("a", "a number")).as_deref(), Some("a"));
        assert_eq!(pointer(params("a=x").finish()).as_deref(), Some("a"));
        assert_eq!(pointer(parse("a=%00")).as_deref(), Some("a"));
        let created = |query: &str| pointer(params(query).created());
        assert_eq!(created("created_from=yesterday").as_deref(), Some("created_from"));
        let backwards = "created_from=2026-11-27T09:00:00Z&created_to=2026-11-27T09:00:00Z";
        assert_eq!(created(backwards).as_deref(), Some("created_to"));
        assert_eq!(created("created_from=2026-11-27T09:00:00%2B01:00"), None);
    }

    #[test]
    fn a_period_holds_its_first_instant_and_the_ids_made_around_it() {
        let (from, to) = (datetime!(2026-11-27 09:00 UTC), datetime!(2026-11-27 10:00 UTC));
        let period = Period { from: Some(from), to: Some(to) };
        assert!(period.contains(from) && !period.contains(to));
        let id_at = |at: OffsetDateTime| {
            let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
            Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0))
        };
        let (first, last) = period.ids();
        let minute = time::Duration::MINUTE;
        for (at, is_inside) in
            [(from - minute, true), (to + minute, true), (from - 6 * minute, false)]
        {
            assert_eq!((first..last).contains(&id_at(at)), is_inside, "{at}");
        }
        assert!(!(first..last).contains(&id_at(to + 6 * minute)));
        assert_eq!(Period::default().ids(), (Uuid::nil(), Uuid::max()));
        let early = Period { from: Some(datetime!(0001-01-01 0:00 UTC)), to: None };
        assert_eq!(early.ids(), (Uuid::nil(), Uuid::max()));
    }
}
