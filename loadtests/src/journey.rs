//! The scenarios of the command line, each with options of its own.

use crate::present::watched;
use crate::report::Report;
use crate::target::{Access, Instances};
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
        self.against().0
    }

    fn against(&self) -> (&Instances, Option<&Access>) {
        let target = match self {
            Self::Rush(options) => options.target(),
            Self::Replay(options) => options.target(),
            Self::Retention(options) => options.rush.target(),
            Self::Browse(options) => return (&options.instances, Some(&options.access)),
            Self::Search(options) => return (&options.instances, None),
            Self::Cart(options) => return (&options.instances, Some(&options.access)),
            Self::Checkout(options) => return (&options.instances, Some(&options.access)),
        };
        (&target.instances, Some(&target.access))
    }

    /// An error if its options cannot be.
    pub fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Rush(options) => options.settings().map(drop),
            Self::Replay(options) => options.settings().map(drop),
            Self::Retention(options) => options.settings().map(drop),
            Self::Browse(options) => options.settings().map(drop),
            Self::Search(options) => options.settings().map(drop),
            Self::Cart(options) => options.settings().map(drop),
            Self::Checkout(options) => options.settings().map(drop),
        }
    }

    /// Runs it, while the monitor looks on.
    pub async fn run(&self) -> anyhow::Result<Report> {
        let (instances, access) = self.against();
        let database = access.and_then(|access| access.database.as_deref());
        watched(self.send(), instances, database).await
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
