//! Lists: `?limit=` and an opaque `?cursor=`; no offsets.

use crate::error::Problem;
use crate::query::Params;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Items on a page unless asked otherwise.
const LIMIT_DEFAULT: u32 = 20;
/// Items on a page at most.
const LIMIT_MAX: u32 = 100;

/// The parameters of every list.
#[derive(Debug, Clone, Default, serde::Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items on the page, 1 to 100; 20 unless said.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-fA-F]{32}$", example = "01933f2cc0007000800000000000000a")]
    pub cursor: Option<String>,
}

/// A page that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Items at most.
    pub limit: u32,
    /// The id of the last item of the page before.
    pub after: Option<Uuid>,
}

impl PageQuery {
    /// Takes `limit` and `cursor`.
    pub fn take(params: &mut Params) -> Result<Self, Problem> {
        let limit = params.parsed("limit", "must be from 1 to 100")?;
        Ok(Self { limit, cursor: params.one("cursor")? })
    }

    /// The page, if the parameters make sense.
    pub fn page(&self) -> Result<Page, Problem> {
        let limit = self.limit()?;
        let parse = |cursor: &String| Uuid::try_parse(cursor).ok().filter(|_| cursor.len() == 32);
        let after = match &self.cursor {
            Some(cursor) => Some(parse(cursor).ok_or_else(bad_cursor)?),
            None => None,
        };
        Ok(Page { limit, after })
    }

    /// The page of a list whose cursors hold a `T`, and the position of the page before.
    pub fn page_after<T: DeserializeOwned>(&self) -> Result<(Page, Option<T>), Problem> {
        let after = self.cursor.as_deref().map(decode_cursor).transpose()?;
        Ok((Page { limit: self.limit()?, after: None }, after))
    }

    fn limit(&self) -> Result<u32, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let is_allowed = (1..=LIMIT_MAX).contains(&limit);
        is_allowed
            .then_some(limit)
            .ok_or_else(|| Problem::invalid("limit", "must be from 1 to 100"))
    }
}

impl Page {
    /// One more row than fits tells whether there is a next page.
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The list from up to [`Page::fetch`] rows.
    pub fn list<T>(&self, rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> List<T> {
        self.cut(rows, |last| id(last).simple().to_string())
    }

    /// The same, for cursors that hold more than an id.
    pub fn list_after<T, P>(&self, rows: Vec<T>, position: impl Fn(&T) -> P) -> List<T>
    where
        P: Serialize,
    {
        self.cut(rows, |last| encode_cursor(&position(last)))
    }

    fn cut<T>(&self, mut rows: Vec<T>, cursor: impl Fn(&T) -> String) -> List<T> {
        let limit = self.limit as usize;
        let next = (rows.len() > limit).then(|| rows.get(limit - 1).map(cursor)).flatten();
        rows.truncate(limit);
        List { items: rows, next_cursor: next }
    }
}

/// A cursor that holds more than an id, opaque to clients.
pub fn encode_cursor(position: &impl Serialize) -> String {
    // Serialising plain structs into memory has no way to fail.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).unwrap_or_default())
}

/// Reads what [`encode_cursor`] made of a `T`.
pub fn decode_cursor<T: DeserializeOwned>(cursor: &str) -> Result<T, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let position = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    position.ok_or_else(bad_cursor)
}

fn bad_cursor() -> Problem {
    Problem::invalid("cursor", "take next_cursor of the page before, unchanged")
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// The next page's cursor, if there is one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_the_next_page_only_if_there_is_one() {
        let page = Page { limit: 2, after: None };
        let rows: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
        let full = page.list(rows.clone(), |id| *id);
        assert_eq!((full.items.len(), full.next_cursor), (2, Some(rows[1].simple().to_string())));
        assert_eq!(page.list(rows[..2].to_vec(), |id| *id).next_cursor, None);
    }

    #[test]
    fn limits_and_cursors_that_make_no_sense_are_refused() {
        let query = |limit, cursor: Option<&str>| {
            PageQuery { limit, cursor: cursor.map(str::to_owned) }.page()
        };
        assert!(query(Some(0), None).is_err());
        assert!(query(Some(101), None).is_err());
        assert!(query(None, Some("x")).is_err());
        assert_eq!(query(None, None), Ok(Page { limit: 20, after: None }));
    }
}
