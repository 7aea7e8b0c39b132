//! What a journal commits, as the journal sees it.

use super::Transaction;
use crate::error::Problem;
use std::time::Instant;
use tokio_postgres::{Client, Error};

/// How a batch is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Everything in one pipelined trip, on what is presumed; guards in SQL stop it.
    Optimistic,
    /// Lock and read first, decide on what the lock returned, then write.
    Exact,
}

impl Form {
    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Optimistic => "optimistic",
            Form::Exact => "exact",
        }
    }
}

/// What an entry adds to its batch.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// Rows that grow with the entry (an order's lines).
    pub lines: usize,
    /// Bytes that the entry sends to PostgreSQL, about.
    pub bytes: usize,
}

/// What a journal commits: the SQL and the answers, while the journal sees to batches,
/// transactions, retries and unknown outcomes.
pub trait Work: Send + Sync + 'static {
    /// One unit: a command with the sender of its answer.
    type Entry: Send + Sync + 'static;
    /// What an entry came to.
    type Outcome: Send;
    /// The prepared statements of a connection.
    type Statements: Send + Sync;

    /// What the entry adds to its batch.
    fn weight(&self, entry: &Self::Entry) -> Weight;

    /// When the entry's client stops waiting; checked when a batch forms.
    fn deadline(&self, entry: &Self::Entry) -> Instant;

    /// The form that suits the batch.
    fn form(&self, batch: &[Self::Entry]) -> Form;

    /// Prepares the statements of a new connection.
    fn prepare(
        &self,
        client: &Client,
    ) -> impl Future<Output = Result<Self::Statements, Error>> + Send;

    /// Runs the batch between `transaction.begin()` and `transaction.commit()`; one outcome per
    /// entry, in their order. May run again with the same entries, and must then come to the
    /// same effect at most once.
    fn run(
        &self,
        transaction: &Transaction<'_>,
        statements: &Self::Statements,
        batch: &[Self::Entry],
        form: Form,
    ) -> impl Future<Output = Result<Vec<Self::Outcome>, Error>> + Send;

    /// Answers the entry. An outcome comes only after its commit.
    fn answer(&self, entry: Self::Entry, outcome: Result<Self::Outcome, Problem>);
}
