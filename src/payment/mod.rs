//! Payment: providers behind one trait. A provider is asked only after the order is durable.

mod manual;
mod test;

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Payment;
use crate::id::{OrderId, PaymentId};
use crate::money::Money;

/// How a provider's payments come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Agreed when the order is placed and paid later: the order is `confirmed` at once.
    Invoice,
    /// The provider is asked once the order is durable.
    Charge,
}

/// What a provider is asked to collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The order; with the payment's id it is the provider's idempotency key.
    pub order: OrderId,
    /// The attempt.
    pub payment: PaymentId,
    /// The amount.
    pub amount: Money,
    /// What the storefront got from the provider for this payment.
    pub token: Option<String>,
}

/// A provider's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The money is collected.
    Captured,
    /// The provider refused.
    Declined,
    /// No answer; it will be asked again.
    Unknown,
}

/// A way to pay.
#[async_trait]
pub trait PaymentProvider: Send + Sync {
    /// The name in requests and answers.
    fn name(&self) -> &'static str;

    /// How its payments come about.
    fn terms(&self) -> Terms;

    /// Whether the token is one that the provider can read; otherwise what it expects.
    fn check_token(&self, token: Option<&str>) -> Result<(), &'static str>;

    /// Collects the amount; asking twice for one payment collects once, and whoever asks is told
    /// the same.
    async fn charge(&self, charge: &Charge) -> Answer;

    /// What became of a payment whose answer was lost; collects it if it never arrived.
    async fn resolve(&self, charge: &Charge) -> Answer;
}

/// The providers of this instance. Cheap to clone.
#[derive(Clone)]
pub struct Providers {
    providers: Arc<[Box<dyn PaymentProvider>]>,
    timeout: Duration,
}

impl Providers {
    /// `manual`, and `test` where it is allowed.
    pub fn new(config: &Payment) -> Self {
        let mut providers: Vec<Box<dyn PaymentProvider>> = vec![Box::new(manual::Manual)];
        if config.test_provider {
            providers.push(Box::new(test::Test { books: config.test_books.clone() }));
        }
        Self { providers: providers.into(), timeout: config.timeout }
    }

    /// The provider of that name.
    pub fn get(&self, name: &str) -> Option<&dyn PaymentProvider> {
        self.providers.iter().map(|provider| &**provider).find(|provider| provider.name() == name)
    }

    /// The names, for error messages.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.providers.iter().map(|provider| provider.name()).collect();
        names.join(", ")
    }

    /// Asks the provider to collect.
    pub async fn charge(&self, provider: &str, charge: &Charge) -> Answer {
        let Some(provider) = self.get(provider) else { return Answer::Unknown };
        self.in_time(provider.charge(charge)).await
    }

    /// Asks the provider what became of the payment.
    pub async fn resolve(&self, provider: &str, charge: &Charge) -> Answer {
        let Some(provider) = self.get(provider) else { return Answer::Unknown };
        self.in_time(provider.resolve(charge)).await
    }

    async fn in_time(&self, answer: impl Future<Output = Answer>) -> Answer {
        tokio::time::timeout(self.timeout, answer).await.unwrap_or(Answer::Unknown)
    }
}
