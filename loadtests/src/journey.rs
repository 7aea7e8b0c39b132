//! The scenarios of the command line, each with options of its own.

use crate::present::watched;
use crate::report::Report;
use crate::target::Instances;
use crate::{browse, cart, checkout, replay, retention, rush, search};

/// A scenario with its options.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Journey {
    /// Far more buyers than units, all within seconds
    Rush(Box<rush::Options>),
    /// A year of real baskets
    Replay(Box<replay::Options>),
    /// A rush while millions of old rows wait to be removed
    Retention(Box<retention::Options>),
    /// Many readers, while prices and stock change
    Browse(Box<browse::Options>),
    /// Searches made of the shop's own titles
    Search(Box<search::Options>),
    /// Carts that several workers change at once
    Cart(Box<cart::Options>),
    /// Whole journeys, with several checkouts of the same cart at once
    Checkout(Box<checkout::Options>),
}

impl Journey {
    /// What it runs against.
    pub fn instances(&self) -> &Instances {
        match self {
            Self::Rush(options) => &options.target().instances,
            Self::Replay(options) => &options.target().instances,
            Self::Retention(options) => &options.rush.target().instances,
            Self::Browse(options) => options.instances(),
            Self::Search(options) => options.instances(),
            Self::Cart(options) => options.instances(),
            Self::Checkout(options) => options.instances(),
        }
    }

    /// Its database, if it knows one.
    fn database(&self) -> Option<&str> {
        match self {
            Self::Rush(options) => options.target().access.database.as_deref(),
            Self::Replay(options) => options.target().access.database.as_deref(),
            Self::Retention(options) => options.rush.target().access.database.as_deref(),
            Self::Browse(options) => options.database(),
            Self::Search(_) => None,
            Self::Cart(options) => options.access.database.as_deref(),
            Self::Checkout(options) => options.access.database.as_deref(),
        }
    }

    /// Runs it, while the monitor looks on.
    pub async fn run(&self) -> anyhow::Result<Report> {
        watched(self.send(), self.instances(), self.database()).await
    }

    /// Runs it.
    pub async fn send(&self) -> anyhow::Result<Report> {
        match self {
            Self::Rush(options) => rush::rush(options).await,
            Self::Replay(options) => replay::replay(options).await,
            Self::Retention(options) => retention::retention(options).await,
            Self::Browse(options) => browse::browse(options).await,
            Self::Search(options) => search::search(options).await,
            Self::Cart(options) => cart::cart(options).await,
            Self::Checkout(options) => checkout::checkout(options).await,
        }
    }
}
