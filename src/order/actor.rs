//! `OrderActor` knows which keys are being worked on here; the [`Desk`] does the work.
//!
//! A duplicate of a request in flight waits for the first one's answer. Work runs in tasks of its
//! own, so it outlives a client that hangs up, and the actor never waits for anything.

use super::checkout::Checkout;
use super::command::{Command, Known, NewPayment, Outcome};
use super::in_flight::InFlight;
use super::order::Placement;
use super::pricing::Draft;
use super::step::{Answered, Due, Step};
use super::store::{self, Entry};
use crate::auth::Secrets;
use crate::cart::Carts;
use crate::catalog::Offers;
use crate::error::{Code, Problem};
use crate::gather::Gather;
use crate::id::{LineId, OrderId};
use crate::idempotency::{Claim, KeyId, Reply, Saved, in_progress};
use crate::inventory::{Inventory, Passed, Want};
use crate::journal::{Gate, Journal, Pass};
use crate::metrics;
use crate::payment::{Answer, Providers};
use crate::postgres::Postgres;
use crate::pricing::Terms;
use crate::supervisor::Supervised;
use actix::prelude::*;
use futures_util::FutureExt;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// How long a duplicate waits for the request in flight.
const DUPLICATE_WAIT: Duration = Duration::from_secs(5);
/// How often another instance's request in flight is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often an order is priced again while its offers change under it.
const PRICINGS_MAX: usize = 5;
/// How often whoever pays or cancels begins: each turn behind the first has waited for another
/// request under their key.
const TURNS_MAX: usize = 3;

/// The handle of the orders. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    actor: Supervised<OrderActor>,
    gate: Gate,
}

impl Orders {
    /// Starts the actor; its journal says how many requests are worked on at a time.
    pub fn start(desk: Desk, arbiter: ArbiterHandle) -> Self {
        let gate = desk.journal.gate.clone();
        let make = move || OrderActor { desk: desk.clone(), in_flight: InFlight::default() };
        Self { actor: Supervised::start("orders", arbiter, make), gate }
    }

    /// Places an order.
    pub async fn place(&self, claim: Claim, wanted: Wanted, payment: NewPayment) -> Answered {
        self.ask(Some(claim), Task::Place { wanted, payment }).await
    }

    /// Pays an order.
    pub async fn pay(&self, claim: Option<Claim>, order: Known, payment: NewPayment) -> Answered {
        self.ask(claim, Task::Pay { order, payment }).await
    }

    /// Cancels an order.
    pub async fn cancel(
        &self,
        claim: Option<Claim>,
        order: Known,
        reason: Option<String>,
    ) -> Answered {
        self.ask(claim, Task::Cancel { order, reason }).await
    }

    async fn ask(&self, claim: Option<Claim>, task: Task) -> Answered {
        let Some(pass) = self.gate.enter() else {
            return Err(Problem::new(Code::Overloaded, "Too many orders are being placed."));
        };
        self.actor.send(Ask { claim, task, _pass: pass }).await?
    }

    /// How many requests are worked on.
    pub fn in_flight(&self) -> usize {
        self.gate.in_flight()
    }

    /// Waits until nothing is in flight, and lets nothing new in.
    pub async fn drained(&self) {
        self.gate.drained().await;
    }
}

/// What is to be ordered.
pub enum Wanted {
    /// What the request lists.
    Items(Box<Draft>),
    /// What is in a cart when the order is committed.
    Cart(Checkout),
}

/// What can be asked of the orders.
enum Task {
    Place { wanted: Wanted, payment: NewPayment },
    Pay { order: Known, payment: NewPayment },
    Cancel { order: Known, reason: Option<String> },
}

#[derive(Message)]
#[rtype(result = "Answered")]
struct Ask {
    claim: Option<Claim>,
    task: Task,
    /// Given back when the work is done, not when the client leaves.
    _pass: Pass,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Done {
    claim: Claim,
    answered: Answered,
}

struct OrderActor {
    desk: Desk,
    in_flight: InFlight<(Ask, oneshot::Sender<Answered>)>,
}

impl Actor for OrderActor {
    type Context = Context<Self>;
}

impl Handler<Ask> for OrderActor {
    type Result = ResponseFuture<Answered>;

    fn handle(&mut self, ask: Ask, context: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        let is_duplicate = self.begin(ask, answer, context);
        Box::pin(async move {
            // The actor is gone, and its work goes on.
            let lost = || Err(Problem::unknown_outcome());
            if !is_duplicate {
                return answered.await.unwrap_or_else(|_| lost());
            }
            match timeout(DUPLICATE_WAIT, answered).await {
                Ok(answered) => answered.unwrap_or_else(|_| lost()),
                Err(_) => Err(in_progress()),
            }
        })
    }
}

impl OrderActor {
    /// Starts the work, or lets a duplicate wait for it.
    fn begin(
        &mut self,
        ask: Ask,
        answer: oneshot::Sender<Answered>,
        context: &mut Context<Self>,
    ) -> bool {
        let first = match ask.claim.clone() {
            Some(claim) => self.in_flight.enter(&claim, (ask, answer)),
            None => Some((ask, answer)),
        };
        let Some((ask, answer)) = first else { return true };
        let (desk, me) = (self.desk.clone(), context.address());
        actix::spawn(async move {
            // A key must not stay in flight for ever because its work panicked.
            let worked = AssertUnwindSafe(desk.work(&ask)).catch_unwind().await;
            let answered = worked.unwrap_or_else(|_| Err(Problem::internal("a task panicked")));
            if let Some(claim) = ask.claim {
                me.do_send(Done { claim, answered: answered.clone() });
            }
            let _ = answer.send(answered);
        });
        false
    }
}

impl Handler<Done> for OrderActor {
    type Result = ();

    fn handle(&mut self, Done { claim, answered }: Done, context: &mut Self::Context) {
        for ((ask, answer), told) in self.in_flight.leave(&claim, &answered) {
            match told {
                Some(told) => drop(answer.send(told)),
                None if answer.is_closed() => {}
                None => drop(self.begin(ask, answer, context)),
            }
        }
    }
}

/// Everything that work on an order needs. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// Where everything is committed.
    pub journal: Journal<Entry>,
    /// The view that may say "sold out".
    pub inventory: Inventory,
    /// What can be bought, and for how much.
    pub offers: Offers,
    /// What shoppers want to buy.
    pub carts: Carts,
    /// Whom to ask for money.
    pub providers: Providers,
    /// What is known of keys.
    pub keys: Gather<KeyId, Saved>,
    /// For the orders' own secrets.
    pub secrets: Arc<Secrets>,
    /// For reads.
    pub postgres: Postgres,
    /// What is charged beside the prices.
    pub terms: Terms,
    /// How long a client waits for a commit.
    pub patience: Duration,
}

impl Desk {
    async fn work(&self, ask: &Ask) -> Answered {
        match (&ask.task, &ask.claim) {
            (Task::Place { wanted, payment }, Some(claim)) => {
                self.place(claim, wanted, payment).await
            }
            (Task::Place { .. }, None) => Err(Problem::internal("an order without a key")),
            (Task::Pay { order, payment }, claim) => {
                let (order, payment, claim) = (order.clone(), payment.clone(), claim.clone());
                let command = Command::Pay { claim, order, payment };
                self.change(command).await
            }
            (Task::Cancel { order, reason }, claim) => {
                let (order, reason, claim) = (order.clone(), reason.clone(), claim.clone());
                let command = Command::Cancel { id: Uuid::now_v7(), claim, order, reason };
                self.change(command).await
            }
        }
    }

    /// The path of an order: price it, ask the view, commit it, then ask for the money.
    async fn place(&self, claim: &Claim, wanted: &Wanted, payment: &NewPayment) -> Answered {
        let id = OrderId::new();
        // However often it has to be priced.
        let mut deadline = self.deadline();
        for _ in 0..PRICINGS_MAX {
            let draft = match self.draft(wanted).await? {
                Ok(draft) => draft,
                Err(problem) => return self.unless_known(claim, problem).await,
            };
            let skus: Vec<&str> = draft.items.iter().map(|item| item.sku.as_str()).collect();
            let placement = match self.price(&draft, &skus, id).await? {
                Ok(placement) => Arc::new(placement),
                Err(problem) => return self.unless_known(claim, problem).await,
            };
            let wants = placement.lines.iter();
            let wants = wants.map(|line| Want { key: line.stock, quantity: line.quantity });
            let seen = match self.inventory.check(wants.collect()).await? {
                Passed::Go(seen) => seen,
                Passed::SoldOut(available) => {
                    metrics::refused_by_view();
                    return self.unless_known(claim, draft.out_of_stock(&available)).await;
                }
            };
            let command = Command::Place {
                claim: claim.clone(),
                placement,
                payment: payment.clone(),
                access_token: self.secrets.order_token(id),
                cart_version: draft.cart_version,
            };
            match command.step(self.commit(&command, seen, deadline).await?) {
                Step::Answer(answered) => return answered,
                Step::Charge(due) => return self.charge(*due).await,
                Step::Resume => {
                    let found = store::known(&self.postgres.readers, &[id]).await;
                    let order = found.map_err(in_doubt)?.pop();
                    let due = order.and_then(|order| Due::of(&command, order));
                    return self.charge(due.ok_or_else(Problem::unknown_outcome)?).await;
                }
                Step::SoldOut(available) => return Err(draft.out_of_stock(&available)),
                Step::PriceAgain => self.offers.forget(&skus),
                Step::ReadAgain => {}
                Step::Wait(problem) => {
                    if let Some(reply) = self.wait(claim, problem).await? {
                        return Ok(reply);
                    }
                    // It is the first of its key from now on.
                    deadline = self.deadline();
                }
            }
        }
        Err(Problem::new(Code::Overloaded, "The prices or the cart keep changing; try again."))
    }

    /// What is ordered now, or why nothing can be.
    async fn draft<'w>(
        &self,
        wanted: &'w Wanted,
    ) -> Result<Result<Cow<'w, Draft>, Problem>, Problem> {
        match wanted {
            Wanted::Items(draft) => Ok(Ok(Cow::Borrowed(draft))),
            Wanted::Cart(checkout) => {
                let cart = self.carts.read(checkout.shopper).await?;
                let shop = self.carts.shop(&cart).await?;
                Ok(checkout.draft(&cart, &shop.offers).map(Cow::Owned))
            }
        }
    }

    /// Prices the draft; nobody is refused on an offer that is only remembered.
    async fn price(
        &self,
        draft: &Draft,
        skus: &[&str],
        id: OrderId,
    ) -> Result<Result<Placement, Problem>, Problem> {
        let offers = self.offers.get(skus).await?;
        let priced = draft.price(&offers, &self.terms, id, LineId::new);
        if priced.is_ok() {
            return Ok(priced);
        }
        self.offers.forget(skus);
        let offers = self.offers.get(skus).await?;
        Ok(draft.price(&offers, &self.terms, id, LineId::new))
    }

    /// Pays or cancels an order that exists.
    async fn change(&self, command: Command) -> Answered {
        for _ in 0..TURNS_MAX {
            let outcome = self.commit(&command, Vec::new(), self.deadline()).await?;
            match (command.step(outcome), command.new_claim()) {
                (Step::Answer(answered), _) => return answered,
                (Step::Charge(due), _) => return self.charge(*due).await,
                (Step::Wait(problem), Some(claim)) => {
                    if let Some(reply) = self.wait(claim, problem).await? {
                        return Ok(reply);
                    }
                }
                _ => return Err(Problem::unknown_outcome()),
            }
        }
        Err(in_progress())
    }

    /// The order is durable: asks the provider, and records what it says.
    async fn charge(&self, due: Due) -> Answered {
        let answer = self.providers.charge(&due.provider, &due.charge()).await;
        self.settle(due, answer).await
    }

    /// Records a provider's answer.
    pub(super) async fn settle(&self, due: Due, answer: Answer) -> Answered {
        let command = due.settle(answer);
        let outcome = self.commit(&command, Vec::new(), self.deadline()).await?;
        match command.step(outcome) {
            Step::Answer(answered) => answered,
            _ => Err(Problem::unknown_outcome()),
        }
    }

    /// Until when whoever asks now waits for a commit.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Sends a command through the journal and waits for its outcome.
    pub(super) async fn commit(
        &self,
        command: &Command,
        seen: Vec<Option<i64>>,
        deadline: Instant,
    ) -> Result<Outcome, Problem> {
        let sent = command.clone();
        let entry = |answer| Entry { command: sent, seen, deadline, answer };
        let outcome = self.journal.ask(deadline, entry).await;
        outcome.map_err(|problem| {
            let told = command.told_after_failure(problem.clone());
            if told != problem {
                tracing::warn!(%problem, "an answer of a provider was not recorded");
            }
            told
        })
    }

    /// A key that has its effect is answered with it, whatever else would be said today.
    async fn unless_known(&self, claim: &Claim, problem: Problem) -> Answered {
        self.wait(claim, in_progress()).await?.ok_or(problem)
    }

    /// Waits for another instance's request in flight; `None` if its key became free.
    async fn wait(&self, claim: &Claim, problem: Problem) -> Result<Option<Reply>, Problem> {
        let until = Instant::now() + DUPLICATE_WAIT;
        while Instant::now() < until {
            // It may be taken, and its request done.
            let found = self.keys.get(claim.id()).await.map_err(in_doubt)?;
            let Some(saved) = found else { return Ok(None) };
            if let Some(answered) = saved.settled(claim) {
                return answered.map(Some);
            }
            sleep(LOOK_EVERY).await;
        }
        Err(problem)
    }
}

/// What whoever asked is told when this has come between the request and what became of it.
fn in_doubt(problem: Problem) -> Problem {
    tracing::warn!(%problem, "it is not known what became of a request");
    Problem::unknown_outcome()
}
