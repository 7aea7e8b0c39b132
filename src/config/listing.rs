//! Settings as they are shown: each with where it came from, none with what is secret.

use super::Secret;
use super::layers::{self, Values};
use ::config::{Value, ValueKind};
use std::fmt::Write;

/// All of them, a line each.
pub(super) fn listing(values: &Values) -> String {
    let mut text = String::new();
    for (key, value) in values {
        let origin = value.origin().unwrap_or("nowhere");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}   # {origin}", line(key, value));
    }
    text
}

/// One of them.
pub(super) fn line(key: &str, value: &Value) -> String {
    let text = match &value.kind {
        ValueKind::String(text) if layers::is_secret(key) => {
            format!("{:?}", Secret::from(text.clone()))
        }
        ValueKind::String(text) if layers::is_url(key) => masked(text),
        kind => shown(kind),
    };
    format!("{key} = {text}")
}

/// A value as it stands in a file.
pub(super) fn shown(kind: &ValueKind) -> String {
    match kind {
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(&item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(_) => "a section".to_owned(),
        other => other.to_string(),
    }
}

/// A URL without its password; as a whole only if it is certain where the password is.
pub(super) fn masked(url: &str) -> String {
    if url.is_empty() {
        return "\"\"".to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://").filter(|_| !url.contains("pass")) else {
        return "<set>".to_owned();
    };
    match rest.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{:?}", format!("{scheme}://{name}:***@{host}")),
            None => format!("{url:?}"),
        },
        None => format!("{url:?}"),
    }
}
