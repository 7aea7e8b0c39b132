//! The rule of carts, alone and against a model.
#![allow(clippy::unwrap_used)]

use super::cart::{Cart, Item, Shop};
use super::change::{Addition, Change, Details};
use super::decide::{Command, Decisions, Locked, World, decide};
use crate::catalog::Offer;
use crate::error::Code;
use crate::id::{ItemId, ShopperId, VariantId};
use crate::idempotency::{Claim, Saved};
use crate::inventory::QUANTITY_MAX;
use crate::money::Money;
use crate::pricing::Terms;
use crate::version::IfMatch;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

fn variant(n: usize) -> VariantId {
    Uuid::from_u128(n as u128).into()
}

/// Variants 0 to 3 at 1, 2, 3 and 4 pence; the last one is not for sale.
fn shop() -> Shop {
    let offer = |n: usize| Offer {
        variant: variant(n),
        sku: format!("S{n}"),
        title: format!("T{n}"),
        prices: vec![Money::new(n as i64 + 1, "GBP".parse().unwrap())],
        offer_version: 1,
        is_sold: n < 3,
    };
    let offers = (0..4).map(|n| (variant(n), Arc::new(offer(n)))).collect();
    let terms = Terms { currency: "GBP".parse().unwrap(), shipping: 10, tax_rate: 0 };
    Shop { offers, terms }
}

fn add(items: &[(usize, i64)]) -> Change {
    let addition = |(at, (n, quantity)): (usize, &(usize, i64))| Addition {
        id: ItemId::new(),
        variant: Some(variant(*n)),
        quantity: *quantity,
        at: format!("/items/{at}"),
        named_by: "sku",
    };
    Change::Add(items.iter().enumerate().map(addition).collect())
}

fn email(text: &str) -> Change {
    let details = Details { email: Some(Some(text.to_owned())), ..Details::default() };
    Change::Describe(Box::new(details))
}

fn command(shopper: ShopperId, change: Change) -> Command {
    Command { id: Uuid::now_v7(), shopper, claim: None, if_match: IfMatch::default(), change }
}

fn keyed(shopper: ShopperId, change: Change, hash: u8) -> Command {
    let claim = Claim { scope: "s".into(), key: "k".into(), request_hash: [hash; 32] };
    Command { claim: Some(claim), ..command(shopper, change) }
}

fn run(commands: &[Command], carts: &HashMap<ShopperId, Locked>) -> Decisions {
    let world = World { carts: carts.clone(), keys: HashMap::new(), shop: shop() };
    decide(&commands.iter().collect::<Vec<_>>(), world)
}

fn quantities(cart: &Cart) -> Vec<i64> {
    cart.items.iter().map(|item| item.quantity).collect()
}

#[test]
fn a_batch_changes_each_cart_in_arrival_order_and_by_one_version_each() {
    let (ada, bob) = (ShopperId::new(), ShopperId::new());
    let commands = [
        command(ada, add(&[(0, 1), (1, 2)])),
        command(bob, add(&[(0, 5)])),
        command(ada, add(&[(1, 3)])),
        command(ada, email("a@b.example")),
        command(ada, email("a@b.example")),
    ];
    let decisions = run(&commands, &HashMap::new());
    assert!(decisions.answers.iter().all(Result::is_ok));
    let (cart, changes) = &decisions.changed[&ada];
    assert_eq!((cart.version, quantities(cart)), (3, vec![1, 5]));
    assert_eq!(*changes, [commands[0].id, commands[2].id, commands[3].id]);
    let (cart, _) = &decisions.changed[&bob];
    assert_eq!((cart.version, quantities(cart)), (1, vec![5]));
}

#[test]
fn a_change_whose_answer_was_lost_is_not_made_again() {
    let ada = ShopperId::new();
    let first = [command(ada, add(&[(0, 1)])), command(ada, email("a@b.example"))];
    let decisions = run(&first, &HashMap::new());
    let (cart, applied) = decisions.changed[&ada].clone();
    let carts = HashMap::from([(ada, Locked { cart, applied, is_merged: false })]);
    let again = run(&first, &carts);
    assert!(again.changed.is_empty(), "it changed twice");
    assert!(again.answers.iter().all(Result::is_ok));
    let mut stale = first[0].clone();
    stale.if_match = IfMatch::default();
    assert_eq!(run(&[stale], &carts).answers[0], again.answers[0]);
}

#[test]
fn a_cart_that_was_merged_refuses_what_is_new_and_knows_what_was_done() {
    let ada = ShopperId::new();
    let done = command(ada, add(&[(0, 1)]));
    let merged = Locked { cart: Cart::default(), applied: vec![done.id], is_merged: true };
    let decisions = run(&[done, command(ada, add(&[(0, 1)]))], &HashMap::from([(ada, merged)]));
    assert!(decisions.answers[0].is_ok() && decisions.changed.is_empty());
    let refused = decisions.answers[1].as_ref().map_err(|problem| problem.code);
    assert_eq!(refused.err(), Some(Code::Unauthorized));
}

#[test]
fn what_is_in_both_carts_adds_up_within_the_limits_and_what_lay_there_stays_for_sale() {
    let item = |n: usize, quantity| Item { id: ItemId::new(), variant: variant(n), quantity };
    let guest = Cart {
        items: vec![item(1, 3), item(2, 999_999)],
        currency: Some("EUR".parse().unwrap()),
        email: Some("a@b.example".to_owned()),
        ..Cart::default()
    };
    let own = Cart { items: vec![item(0, 1), item(2, 2)], ..Cart::default() };
    let merged = own.merged(&guest);
    assert_eq!(quantities(&merged), [1, 1_000_000, 3]);
    assert_eq!(merged.items[0].id, own.items[0].id);
    assert_eq!((merged.currency, merged.email), (None, guest.email.clone()));
    assert_eq!(Cart::default().merged(&guest).currency, guest.currency);
    let full = Cart { items: (10..2_010).map(|n| item(n, 1)).collect(), ..Cart::default() };
    assert_eq!(full.merged(&guest).items, full.items);
}

#[test]
fn a_key_stands_for_one_effect_within_a_batch_too() {
    let ada = ShopperId::new();
    let (first, twice) = (keyed(ada, add(&[(0, 1)]), 7), keyed(ada, add(&[(0, 1)]), 7));
    let other = keyed(ada, add(&[(0, 2)]), 8);
    let decisions = run(&[first, twice, other], &HashMap::new());
    let [Ok(reply), Ok(replay), Err(problem)] = &decisions.answers[..] else {
        panic!("{:?}", decisions.answers)
    };
    assert_eq!((&replay.body, replay.replayed, reply.replayed), (&reply.body, true, false));
    assert_eq!(problem.code, Code::IdempotencyKeyReused);
    assert_eq!(quantities(&decisions.changed[&ada].0), [1]);
    // What was refused gives its key back, also to the next in the same batch.
    let (refused, granted) = (keyed(ada, add(&[(3, 1)]), 7), keyed(ada, add(&[(0, 2)]), 8));
    let decisions = run(&[refused.clone(), granted], &HashMap::new());
    assert_eq!(decisions.saved.values().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
    assert!(decisions.dropped.is_empty());
    let decisions = run(&[refused], &HashMap::new());
    assert_eq!((decisions.dropped.len(), decisions.saved.len()), (1, 0));
    assert!(decisions.changed.is_empty());
}

#[test]
fn our_own_earlier_run_is_answered_with_its_reply_and_is_no_replay() {
    let ada = ShopperId::new();
    let mine = keyed(ada, add(&[(0, 1)]), 7);
    let first = run(std::slice::from_ref(&mine), &HashMap::new());
    let Ok(reply) = first.answers[0].clone() else { panic!("{:?}", first.answers) };
    for (resource_id, replayed) in [(mine.id, false), (Uuid::nil(), true)] {
        let saved = Saved {
            request_hash: vec![7; 32],
            resource_id: Some(resource_id),
            reply: Some(reply.clone().replay()),
        };
        let keys = mine.claim.iter().map(|claim| (claim.id(), saved.clone())).collect();
        let world = World { carts: HashMap::new(), keys, shop: shop() };
        let Decisions { answers, changed, saved, .. } = decide(&[&mine], world);
        assert_eq!(answers, [Ok(crate::idempotency::Reply { replayed, ..reply.clone() })]);
        assert!(changed.is_empty() && saved.is_empty());
    }
}

#[test]
fn what_is_not_for_sale_stays_and_counts_but_no_more_is_added() {
    let shop = shop();
    let items = add(&[(0, 1)]);
    let mut cart = Cart::default().changed(&items, &shop).unwrap();
    cart.items[0].variant = variant(3);
    let priced = cart.price(&shop);
    assert_eq!(priced.totals.map(|totals| totals.total), Some(14));
    assert!(!priced.lines[0].is_available);
    let problem = cart.changed(&add(&[(3, 1)]), &shop).unwrap_err();
    assert_eq!(
        (problem.code, &*problem.errors[0].pointer),
        (Code::ValidationFailed, "/items/0/sku")
    );
    let unknown = Addition { variant: None, ..additions(&items)[0].clone() };
    assert!(cart.changed(&Change::Add(vec![unknown]), &shop).is_err());
    assert!(cart.changed(&add(&[(0, 1)]), &shop).is_ok(), "others are welcome");
}

fn additions(change: &Change) -> &[Addition] {
    match change {
        Change::Add(additions) => additions,
        _ => &[],
    }
}

/// One step of a random history; the numbers choose among what exists.
#[derive(Debug, Clone)]
enum Step {
    Add(Vec<(usize, i64)>),
    Set(usize, i64),
    Email(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let quantity = prop_oneof![3 => 1..5i64, 1 => QUANTITY_MAX - 2..=QUANTITY_MAX];
    let step = prop_oneof![
        4 => prop::collection::vec((0..4usize, quantity), 1..4).prop_map(Step::Add),
        3 => (0..4usize, 0..4i64).prop_map(|(line, quantity)| Step::Set(line, quantity)),
        1 => (0..3u8).prop_map(Step::Email),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #[test]
    fn whatever_is_asked_a_cart_stays_well_formed_and_agrees_with_a_map(steps in steps()) {
        let (shop, mut cart) = (shop(), Cart::default());
        let mut model: HashMap<VariantId, i64> = HashMap::new();
        for step in steps {
            let change = match &step {
                Step::Add(items) => add(items),
                Step::Set(line, quantity) => {
                    let known = cart.items.get(*line).map(|item| item.id);
                    Change::Set { item: known.unwrap_or_default(), quantity: *quantity }
                }
                Step::Email(n) => email(&format!("{n}@b.example")),
            };
            let mut expected = model.clone();
            let is_allowed = match &step {
                Step::Add(items) => {
                    for (n, quantity) in items {
                        *expected.entry(variant(*n)).or_default() += quantity;
                    }
                    items.iter().all(|(n, _)| *n < 3 && expected[&variant(*n)] <= QUANTITY_MAX)
                }
                Step::Set(line, quantity) => cart.items.get(*line).is_some_and(|item| {
                    let before = match quantity {
                        0 => expected.remove(&item.variant),
                        quantity => expected.insert(item.variant, *quantity),
                    };
                    before.is_some()
                }),
                Step::Email(_) => true,
            };
            let changed = cart.changed(&change, &shop);
            prop_assert_eq!(changed.is_ok(), is_allowed, "{:?}: {:?}", &step, &changed);
            if let Ok(after) = changed {
                (cart, model) = (after, expected);
            }
            let lines: HashMap<VariantId, i64> =
                cart.items.iter().map(|item| (item.variant, item.quantity)).collect();
            prop_assert_eq!(&lines, &model);
            let ids: HashSet<ItemId> = cart.items.iter().map(|item| item.id).collect();
            prop_assert_eq!((lines.len(), ids.len()), (cart.items.len(), cart.items.len()));
            let priced = cart.price(&shop);
            let sum: i64 = priced.lines.iter().map(|line| line.total).sum();
            let shipping = if cart.items.is_empty() { 0 } else { 10 };
            prop_assert_eq!(priced.totals.map(|totals| totals.total), Some(sum + shipping));
        }
    }
}
