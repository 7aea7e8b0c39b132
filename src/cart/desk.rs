//! The desk of carts: reads them, and sends changes through their journal.

use super::body::CartBody;
use super::cart::{Cart, Shop};
use super::decide::Command;
use super::store::{self, Entry};
use crate::catalog::{Name, Offer, Offers};
use crate::error::{Code, Problem};
use crate::gather::{Gather, Limits};
use crate::id::ShopperId;
use crate::idempotency::Reply;
use crate::journal::{Journal, Pass};
use crate::postgres::Postgres;
use crate::pricing::Terms;
use crate::session::unauthorized;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMITS: Limits =
    Limits { keys_max: 200, waiting_max: 100_000, read_max: Duration::from_secs(2) };

/// Carts whose sizes are remembered.
const SIZES_MAX: usize = 100_000;

/// The settings of carts.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What is charged beside the prices.
    pub terms: Terms,
    /// How long a client waits for a commit.
    pub patience: Duration,
}

/// The handle of the carts. Cheap to clone.
#[derive(Clone)]
pub struct Carts {
    journal: Journal<Entry>,
    reads: Gather<ShopperId, Option<Cart>>,
    offers: Offers,
    options: Options,
    /// Bytes of what was shown of a cart last.
    sizes: Arc<Cache<ShopperId, usize>>,
}

impl Carts {
    /// On a journal that commits [`store::CartCommits`].
    pub fn new(
        journal: Journal<Entry>,
        postgres: &Postgres,
        offers: Offers,
        options: Options,
    ) -> Self {
        let kept = postgres.clone();
        let reads = Gather::start(postgres.runtime(), LIMITS, move |shoppers: Vec<ShopperId>| {
            let postgres = kept.clone();
            async move { store::carts(&postgres, &shoppers).await }
        });
        let sizes = Arc::new(Cache::new(SIZES_MAX));
        Self { journal, reads, offers, options, sizes }
    }

    /// The cart as it is in PostgreSQL now; an empty one if nothing was ever changed. A guest who
    /// has logged in has none any more, whoever still believes that session.
    pub async fn read(&self, shopper: ShopperId) -> Result<Cart, Problem> {
        let found = self.reads.get(shopper).await?;
        found.unwrap_or_else(|| Some(Cart::default())).ok_or_else(unauthorized)
    }

    /// The cart and what it costs now.
    pub async fn show(&self, shopper: ShopperId) -> Result<Reply, Problem> {
        let _pass = self.enter()?;
        let cart = self.read(shopper).await?;
        let shop = self.shop(&cart).await?;
        let reply = CartBody::new(&cart, &shop).reply();
        self.sizes.insert(shopper, reply.body.len());
        Ok(reply)
    }

    /// What the cart is priced with.
    pub async fn shop(&self, cart: &Cart) -> Result<Shop, Problem> {
        let offers = self.offers.current_by_id(cart.variants()).await?;
        Ok(Shop { offers, terms: self.options.terms })
    }

    /// What these names stand for in the catalog.
    pub async fn offers(&self, names: Vec<Name>) -> Result<HashMap<Name, Arc<Offer>>, Problem> {
        self.offers.current(names).await
    }

    /// Carries a change out. Its work outlives a client that hangs up.
    pub async fn change(&self, command: Command) -> Result<Reply, Problem> {
        let pass = self.enter()?;
        let deadline = Instant::now() + self.options.patience;
        let shopper = command.shopper;
        let shown = self.sizes.get(&shopper).unwrap_or(0);
        let entry = |answer| Entry { command, shown, deadline, answer, pass };
        let reply = self.journal.ask(deadline, entry).await?;
        self.sizes.insert(shopper, reply.body.len());
        Ok(reply)
    }

    fn enter(&self) -> Result<Pass, Problem> {
        let pass = self.journal.gate.enter();
        pass.ok_or_else(|| Problem::new(Code::Overloaded, "Too many carts are in use."))
    }

    /// How many carts are being read or changed.
    pub fn in_flight(&self) -> usize {
        self.journal.gate.in_flight()
    }
}
