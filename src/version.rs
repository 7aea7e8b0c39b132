//! Versions of resources: shown as `version` and as a strong `ETag`, asked for by `If-Match`.

use crate::error::{Code, Problem};
use actix_web::dev::Payload;
use actix_web::http::header::{ETag, EntityTag, IF_MATCH};
use actix_web::{FromRequest, HttpRequest};
use std::convert::Infallible;
use std::future::{Ready, ready};

/// Which versions a change may start from; without the header, any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IfMatch(Option<Vec<EntityTag>>);

impl IfMatch {
    /// Refuses with `version_conflict` unless `version` is among those asked for.
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        let Self(Some(tags)) = self else { return Ok(()) };
        let current = tag(version);
        if tags.iter().any(|tag| tag.strong_eq(&current)) {
            return Ok(());
        }
        let detail = format!("The current version is {version}; read it again and repeat.");
        Err(Problem::new(Code::VersionConflict, detail))
    }
}

impl FromRequest for IfMatch {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let sent: Vec<_> = request.headers().get_all(IF_MATCH).collect();
        let list = sent.iter().filter_map(|value| value.to_str().ok());
        let list = list.flat_map(|value| value.split(','));
        let list: Vec<&str> = list.map(str::trim).collect();
        // `*` asks only that there is something. What is no entity tag matches no version.
        let is_any = sent.is_empty() || list.contains(&"*");
        let tags = list.into_iter().filter_map(|tag| tag.parse().ok()).collect();
        ready(Ok(Self((!is_any).then_some(tags))))
    }
}

fn tag(version: i64) -> EntityTag {
    EntityTag::new_strong(version.to_string())
}

/// The `ETag` of a resource that carries `version`.
pub fn etag(version: i64) -> ETag {
    ETag(tag(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    async fn accepts(header: Option<&str>, version: i64) -> bool {
        let request = TestRequest::default();
        let request = match header {
            Some(value) => request.insert_header((IF_MATCH, value)),
            None => request,
        };
        let Ok(asked) = IfMatch::extract(&request.to_http_request()).await;
        asked.check(version).is_ok()
    }

    #[actix_web::test]
    async fn only_the_versions_asked_for_may_be_changed() {
        assert!(accepts(None, 7).await && accepts(Some("*"), 7).await);
        assert!(accepts(Some("\"7\""), 7).await && accepts(Some("\"6\", \"7\""), 7).await);
        for other in ["\"6\"", "W/\"7\"", "7", "", "\"7"] {
            assert!(!accepts(Some(other), 7).await, "{other}");
        }
    }
}
