//! `test`: a provider for development that does what the token says.

use super::{Answer, Charge, PaymentProvider, Terms};
use async_trait::async_trait;
use std::time::Duration;

/// The provider for development; refused in production.
pub struct Test;

#[async_trait]
impl PaymentProvider for Test {
    fn name(&self) -> &'static str {
        "test"
    }

    fn terms(&self) -> Terms {
        Terms::Charge
    }

    fn check_token(&self, token: Option<&str>) -> Result<(), &'static str> {
        match token {
            Some("ok" | "decline" | "delay_2s" | "timeout") => Ok(()),
            _ => Err("the test provider takes one of ok, decline, delay_2s, timeout"),
        }
    }

    async fn charge(&self, charge: &Charge) -> Answer {
        match charge.token.as_deref() {
            Some("ok") => Answer::Captured,
            Some("delay_2s") => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                Answer::Captured
            }
            Some("decline") => Answer::Declined,
            _ => Answer::Unknown,
        }
    }

    async fn resolve(&self, charge: &Charge) -> Answer {
        match charge.token.as_deref() {
            Some("decline") => Answer::Declined,
            _ => Answer::Captured,
        }
    }
}
