//! `test`: a provider for development that does what the token says.

use super::{Answer, Charge, PaymentProvider, Terms};
use async_trait::async_trait;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// The provider for development; refused in production.
pub struct Test {
    /// Where it writes down what it has collected: a line for each time it was asked to.
    pub books: Option<PathBuf>,
}

impl Test {
    fn collect(&self, charge: &Charge) -> Answer {
        let Some(books) = &self.books else { return Answer::Captured };
        let Charge { order, payment, amount, .. } = charge;
        let line = format!("{} {} {}\n", order.uuid(), payment.uuid(), amount.amount);
        let file = File::options().create(true).append(true).open(books);
        match file.and_then(|mut file| file.write_all(line.as_bytes())) {
            Ok(()) => Answer::Captured,
            Err(error) => {
                tracing::error!(%error, "the books of the test provider");
                Answer::Unknown
            }
        }
    }
}

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
            Some("ok") => self.collect(charge),
            Some("delay_2s") => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.collect(charge)
            }
            Some("decline") => Answer::Declined,
            _ => Answer::Unknown,
        }
    }

    async fn resolve(&self, charge: &Charge) -> Answer {
        match charge.token.as_deref() {
            Some("decline") => Answer::Declined,
            _ => self.collect(charge),
        }
    }
}
