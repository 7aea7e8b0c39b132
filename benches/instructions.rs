//! How many instructions the rules take, counted by callgrind: the same on a busy machine.
//! `make instructions` runs it and says what has changed since the run before.

#![expect(missing_docs, reason = "modules of the macros")]

#[path = "rules/goods.rs"]
mod goods;

use doorbuster::auth::Secrets;
use doorbuster::id::{LineId, OrderId};
use doorbuster::json::Json;
use doorbuster::order::routes::PlaceOrder;
use doorbuster::order::{Command, Draft, Facts, OrderBody, Placement, State};
use goods::{ORDER, Offers, decide_all, draft, order, place, secrets, terms};
use gungraun::{library_benchmark, library_benchmark_group, main};
use std::hint::black_box;

// The allocator that the server has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Each of these does once what is counted afterwards: what is only made on the first use, such as
// tables of currencies, is not counted.

/// Kept for ever, because what is decided of them borrows them.
fn batch(orders: usize) -> &'static [&'static Command] {
    let commands: &'static [Command] = (0..orders).map(|_| place()).collect::<Vec<_>>().leak();
    let commands = commands.iter().collect::<Vec<_>>().leak();
    drop(decide_all(commands));
    commands
}

fn unpriced(lines: usize) -> (Draft, Offers) {
    let (draft, offers) = draft(lines);
    drop(price(&draft, &offers));
    (draft, offers)
}

fn price(draft: &Draft, offers: &Offers) -> impl Sized + use<> {
    draft.price(offers, &terms(), OrderId::new(), LineId::new)
}

fn body() -> &'static [u8] {
    drop(parse(ORDER.as_bytes()));
    ORDER.as_bytes()
}

fn parse(body: &[u8]) -> Json<PlaceOrder> {
    Json::parse(body).expect("it is well formed")
}

fn placed() -> (Placement, Facts, State) {
    let (placement, facts, state) = order();
    drop(OrderBody::new(&placement, &facts, &state, None).to_bytes());
    (placement, facts, state)
}

fn known_secrets() -> Secrets {
    let secrets = secrets();
    drop(secrets.order_token(OrderId::new()));
    secrets
}

#[library_benchmark]
#[bench::of_1(batch(1))]
#[bench::of_200(batch(200))]
fn decide_a_batch(commands: &'static [&'static Command]) -> impl Sized {
    decide_all(black_box(commands))
}

#[library_benchmark]
#[bench::of_1_line(unpriced(1))]
#[bench::of_10_lines(unpriced(10))]
fn price_an_order((draft, offers): (Draft, Offers)) -> impl Sized {
    let placement = price(black_box(&draft), &offers);
    (placement, draft, offers)
}

#[library_benchmark]
#[bench::of_1_line(body())]
fn parse_an_order(body: &'static [u8]) -> Json<PlaceOrder> {
    parse(black_box(body))
}

#[library_benchmark]
#[bench::of_1_line(placed())]
fn serialise_an_order((placement, facts, state): (Placement, Facts, State)) -> impl Sized {
    let bytes = OrderBody::new(black_box(&placement), &facts, &state, None).to_bytes();
    (bytes, placement, state)
}

#[library_benchmark]
#[bench::of_1_order(known_secrets())]
fn derive_an_order_token(secrets: Secrets) -> impl Sized {
    (secrets.order_token(black_box(OrderId::new())), secrets)
}

library_benchmark_group!(
    name = rules,
    benchmarks = [
        decide_a_batch,
        price_an_order,
        parse_an_order,
        serialise_an_order,
        derive_an_order_token
    ]
);
main!(library_benchmark_groups = rules);
