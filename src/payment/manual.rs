//! `manual`: the customer pays by invoice, outside of the system.

use super::{Answer, Charge, PaymentProvider, Terms};
use async_trait::async_trait;

/// Payment on invoice.
pub struct Manual;

#[async_trait]
impl PaymentProvider for Manual {
    fn name(&self) -> &'static str {
        "manual"
    }

    fn terms(&self) -> Terms {
        Terms::Invoice
    }

    fn check_token(&self, token: Option<&str>) -> Result<(), &'static str> {
        if token.is_some() { Err("the manual provider takes no token") } else { Ok(()) }
    }

    /// Never asked: its terms are an invoice.
    async fn charge(&self, _: &Charge) -> Answer {
        Answer::Unknown
    }

    async fn resolve(&self, _: &Charge) -> Answer {
        Answer::Unknown
    }
}
