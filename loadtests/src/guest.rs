//! Guests: sessions as storefronts start them.

use crate::caller::Caller;
use crate::client::Request;
use anyhow::{Context, bail};
use hyper::Method;
use serde::Deserialize;
use std::fmt;

/// A session.
#[derive(Clone, Deserialize)]
pub struct Guest {
    /// Its token.
    pub token: String,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guest")
    }
}

impl Guest {
    /// Starts a session at the instance that the caller speaks to.
    pub async fn arrive(caller: &mut Caller) -> anyhow::Result<Self> {
        let record = caller.call(&Request::new(Method::POST, "/v1/sessions", "{}")).await;
        match record.answers.last() {
            Some(answer) if answer.status == 201 => serde_json::from_slice(&answer.body)
                .context("a session came with a body that holds no token"),
            _ => bail!("no session could be started: {}", record.label()),
        }
    }
}
