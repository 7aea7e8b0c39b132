//! Was every cart sold once, as it was acknowledged, and to the one who filled it?

use super::{
    Verdict, acknowledged_ids, acknowledgements, judge_acknowledged, key_name, order_name,
    since_us, stock,
};
use crate::basket::{Cart, Units};
use crate::catalog::Page;
use crate::order::{Acknowledged, NewOrder};
use crate::record::{Answer, Outcome, Record};
use crate::stored::{Order, Source, Stored, Wanted};
use crate::type_id;
use anyhow::ensure;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Everything that a run leaves to be judged.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Units that each SKU of the run was supplied with in all.
    pub supplied: BTreeMap<String, i64>,
    /// The price of every SKU.
    pub price: i64,
    /// Who shopped.
    pub shoppers: Vec<Shopper>,
}

/// One session.
#[derive(Debug, Clone, Default)]
pub struct Shopper {
    /// A name for it: `session 7`.
    pub name: String,
    /// Its token, which stays out of every report.
    pub token: String,
    /// Its carts, one after the other.
    pub fillings: Vec<Filling>,
    /// The pages of its orders, in the end.
    pub listed: Vec<Answer>,
    /// What it was told of some of its orders.
    pub own: Vec<(String, Answer)>,
    /// What others were told of them.
    pub others: Vec<(String, Answer)>,
}

/// One filling of a cart, up to its checkout.
#[derive(Debug, Clone)]
pub struct Filling {
    /// What was put into it, and where it shall go.
    pub asked: NewOrder,
    /// How it was filled.
    pub prepared: Vec<Record>,
    /// The cart as it was acknowledged last; none if it could not be filled.
    pub cart: Option<Answer>,
    /// Its checkouts, each key once.
    pub checkouts: Vec<Record>,
    /// The cart after that.
    pub after: Option<Answer>,
}

impl Evidence {
    /// All checkouts.
    pub fn checkouts(&self) -> impl Iterator<Item = &Record> {
        self.fillings().flat_map(|filling| &filling.checkouts)
    }

    fn fillings(&self) -> impl Iterator<Item = &Filling> {
        self.shoppers.iter().flat_map(|shopper| &shopper.fillings)
    }
}

impl Shopper {
    /// The orders that it was told of.
    pub fn acknowledged_ids(&self) -> BTreeSet<String> {
        let records = self.fillings.iter().flat_map(|filling| &filling.checkouts);
        records.flat_map(acknowledged_ids).map(order_name).collect()
    }
}

/// Reads what the shop holds of a run, and judges it.
pub async fn examine(
    evidence: &Evidence,
    source: impl Into<Source<'_>>,
) -> anyhow::Result<Verdict> {
    ensure!(evidence.checkouts().next().is_some(), "no cart could be filled");
    let wanted = Wanted {
        emails: evidence.fillings().map(|filling| filling.asked.email.clone()).collect(),
        ids: evidence.checkouts().flat_map(acknowledged_ids).collect(),
        keys: evidence.checkouts().map(|record| record.key.clone()).collect(),
        skus: evidence.supplied.keys().cloned().collect(),
        since_us: since_us(evidence.checkouts()),
    };
    Ok(judge(evidence, &Stored::read(source.into(), &wanted).await?))
}

/// Judges a run.
pub fn judge(evidence: &Evidence, stored: &Stored) -> Verdict {
    let mut by_email: HashMap<&str, Vec<&Order>> = HashMap::new();
    for order in stored.orders.values() {
        by_email.entry(&order.email).or_default().push(order);
    }
    let prices = evidence.supplied.keys().map(|sku| (sku.clone(), evidence.price)).collect();
    let mut verdict = Verdict::of(stored);
    let mut disappointed = HashMap::new();
    for shopper in &evidence.shoppers {
        let mut orders = Vec::new();
        for filling in &shopper.fillings {
            let its = by_email.get(filling.asked.email.as_str()).map_or(&[][..], Vec::as_slice);
            orders.extend_from_slice(its);
            let judging = Judging { name: &filling.asked.email, filling, orders: its, stored };
            judging.all(&prices, &mut verdict);
            note_disappointment(filling, &mut disappointed);
        }
        judge_orders_of(shopper, &orders, &mut verdict);
    }
    stock::judge(&evidence.supplied, &disappointed, stored, &mut verdict);
    verdict
}

/// One filling beside what is stored of it.
struct Judging<'j> {
    name: &'j str,
    filling: &'j Filling,
    orders: &'j [&'j Order],
    stored: &'j Stored,
}

impl Judging<'_> {
    fn all(&self, prices: &BTreeMap<String, i64>, verdict: &mut Verdict) {
        verdict.count("carts", 1);
        self.judge_filling(verdict);
        let Some(cart) = &self.filling.cart else { return };
        let cart = match Cart::read(&cart.body) {
            Ok(cart) => cart,
            Err(error) => return verdict.find(self.name, format!("shown no cart: {error}")),
        };
        let wrong = cart.wrong_amounts(prices).into_iter();
        wrong.for_each(|wrong| verdict.find(self.name, format!("cart: {wrong}")));
        let asked = asked_units(&self.filling.asked);
        if cart.units() != asked {
            let wrong = format!("asked for {asked:?}, the cart holds {:?}", cart.units());
            verdict.find(self.name, wrong);
        }
        for record in &self.filling.checkouts {
            self.judge_checkout(record, &cart, verdict);
        }
        self.judge_orders(verdict);
        self.judge_after(&cart, verdict);
    }

    /// Only what is sold out cannot be added.
    fn judge_filling(&self, verdict: &mut Verdict) {
        for record in &self.filling.prepared {
            let is_fine = match record.outcome() {
                Outcome::Refused => record.label() == "409 out_of_stock",
                Outcome::Acknowledged | Outcome::Unknown => true,
            };
            if !is_fine {
                verdict.find(self.name, format!("could not be filled: {}", record.label()));
            }
        }
    }

    fn judge_checkout(&self, record: &Record, cart: &Cart, verdict: &mut Verdict) {
        match record.outcome() {
            Outcome::Acknowledged => {
                judge_acknowledged(record, &self.filling.asked, self.stored, verdict);
                for answer in acknowledgements(record) {
                    self.judge_totals(record, answer, cart, verdict);
                }
            }
            Outcome::Refused => self.judge_refused(record, verdict),
            Outcome::Unknown => {
                verdict.checked.unknown += 1;
                verdict.checked.unknown_with_order += u64::from(!self.orders.is_empty());
            }
        }
    }

    /// The order costs what the cart said.
    fn judge_totals(&self, record: &Record, answer: &Answer, cart: &Cart, verdict: &mut Verdict) {
        let Ok(order) = serde_json::from_slice::<Acknowledged>(&answer.body) else { return };
        for (what, cart, order) in [
            ("subtotal", &cart.subtotal, &order.subtotal),
            ("discount", &cart.discount, &order.discount),
            ("shipping", &cart.shipping, &order.shipping),
            ("tax", &cart.tax, &order.tax),
            ("total", &cart.total, &order.total),
        ] {
            if cart != order {
                let wrong = format!("{what}: the cart said {cart}, the order says {order}");
                verdict.find(key_name(record), wrong);
            }
        }
    }

    /// There is no order of a key that was refused, and "empty" only after an order.
    fn judge_refused(&self, record: &Record, verdict: &mut Verdict) {
        verdict.checked.refused += 1;
        let (key, label) = (key_name(record), record.label());
        let is_fine = match label.as_str() {
            "409 cart_empty" => !self.orders.is_empty(),
            other => other == "409 out_of_stock",
        };
        if !is_fine {
            let orders = self.orders.len();
            verdict.find(&key, format!("refused with {label}, with {orders} orders of the cart"));
        }
        if self.stored.holds_key(&record.key) {
            verdict.find(&key, format!("refused with {label}, but its key is there"));
        }
    }

    /// At most one order, made by one key, and told to nobody else.
    fn judge_orders(&self, verdict: &mut Verdict) {
        let names = |orders: &[&Order]| {
            orders.iter().map(|order| order_name(order.id)).collect::<Vec<_>>().join(", ")
        };
        if self.orders.len() > 1 {
            let names = names(self.orders);
            verdict.find(self.name, format!("one cart, {} orders: {names}", self.orders.len()));
        }
        let acknowledged = self.filling.checkouts.iter();
        let acknowledged =
            acknowledged.filter(|record| record.outcome() == Outcome::Acknowledged);
        let keys: Vec<&str> = acknowledged.map(|record| record.key.as_str()).collect();
        if keys.len() > 1 {
            verdict.find(self.name, format!("acknowledged to several keys: {}", keys.join(", ")));
        }
        let Some(keys) = &self.stored.keys else { return };
        let rows = self.filling.checkouts.iter();
        let rows: Vec<&Option<Uuid>> =
            rows.filter_map(|record| keys.get(&record.key)).flatten().collect();
        if rows.len() != self.orders.len() {
            let (rows, orders) = (rows.len(), self.orders.len());
            verdict.find(self.name, format!("{rows} idempotency keys of {orders} orders"));
        }
        for made in rows.into_iter().flatten() {
            if !self.orders.iter().any(|order| order.id == *made) {
                let wrong = format!("the key made {}, which is not there", order_name(*made));
                verdict.find(self.name, wrong);
            }
        }
    }

    /// Sold, the cart is empty; refused, it is as it was.
    fn judge_after(&self, before: &Cart, verdict: &mut Verdict) {
        let Some(answer) = &self.filling.after else { return };
        let after = match Cart::read(&answer.body) {
            Ok(cart) if answer.status == 200 => cart.units(),
            // Nobody could tell.
            _ if answer.asks_to_retry() => return,
            _ => {
                let label = answer.label();
                return verdict.find(self.name, format!("the cart afterwards: {label}"));
            }
        };
        let outcomes: Vec<Outcome> = self.filling.checkouts.iter().map(Record::outcome).collect();
        if outcomes.contains(&Outcome::Acknowledged) {
            if !after.is_empty() {
                verdict.find(self.name, format!("sold, but the cart still holds {after:?}"));
            }
        } else if !outcomes.contains(&Outcome::Unknown) && after != before.units() {
            let before = before.units();
            verdict.find(self.name, format!("not sold, but {before:?} became {after:?}"));
        }
    }
}

fn asked_units(asked: &NewOrder) -> Units {
    let mut units = Units::new();
    for item in &asked.items {
        *units.entry(item.sku.clone()).or_default() += item.quantity;
    }
    units
}

/// The fewest units that were refused for want of stock; of carts with one line, where it is
/// certain which SKU was meant.
fn note_disappointment(filling: &Filling, fewest: &mut HashMap<String, i64>) {
    let [item] = &filling.asked.items[..] else { return };
    let all = filling.prepared.iter().chain(&filling.checkouts);
    if all.into_iter().any(|record| record.label() == "409 out_of_stock") {
        let least = fewest.entry(item.sku.clone()).or_insert(item.quantity);
        *least = (*least).min(item.quantity);
    }
}

/// The order in a list, with the members that are judged.
#[derive(Deserialize)]
struct Listed {
    id: String,
    total: crate::order::Money,
}

/// A session lists exactly its orders, and nobody else reads them.
fn judge_orders_of(shopper: &Shopper, orders: &[&Order], verdict: &mut Verdict) {
    let mut listed: Vec<Listed> = Vec::new();
    for answer in &shopper.listed {
        match serde_json::from_slice::<Page<Listed>>(&answer.body) {
            Ok(page) if answer.status == 200 => listed.extend(page.items),
            _ => {
                let label = answer.label();
                verdict.find(&shopper.name, format!("its list of orders came with {label}"));
                return;
            }
        }
    }
    let mut missing: HashMap<Uuid, &Order> =
        orders.iter().map(|order| (order.id, *order)).collect();
    for Listed { id, total } in &listed {
        verdict.count("listed orders", 1);
        match type_id::decode("ord", id).and_then(|id| missing.remove(&id)) {
            None => verdict.find(&shopper.name, format!("lists {id}, twice or not its own")),
            Some(order) if order.total != total.amount => {
                verdict.find(&shopper.name, format!("lists {id} with {total}"));
            }
            Some(_) => {}
        }
    }
    for id in missing.into_keys() {
        verdict.find(&shopper.name, format!("does not list its {}", order_name(id)));
    }
    for (order, answer) in &shopper.own {
        let read = serde_json::from_slice::<Listed>(&answer.body);
        if answer.status != 200 || read.is_ok_and(|read| read.id != *order) {
            verdict.find(&shopper.name, format!("reads its {order} with {}", answer.label()));
        }
    }
    for (order, answer) in &shopper.others {
        verdict.count("strangers", 1);
        if !matches!(answer.status, 401 | 404) && !answer.asks_to_retry() {
            let label = answer.label();
            verdict.find(&shopper.name, format!("others asked for its {order}: {label}"));
        }
    }
}
