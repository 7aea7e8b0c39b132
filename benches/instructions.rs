//! How many instructions the rules take, counted by callgrind: the same on a busy machine.
//! `make instructions` runs it and says what has changed since the run before.

#![expect(missing_docs, reason = "modules of the macros")]

#[path = "rules/goods.rs"]
mod goods;

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

/// Kept for ever, because what is decided of them borrows them.
fn batch(orders: usize) -> &'static [&'static Command] {
    let commands: &'static [Command] = (0..orders).map(|_| place()).collect::<Vec<_>>().leak();
    commands.iter().collect::<Vec<_>>().leak()
}

#[library_benchmark]
#[bench::of_1(batch(1))]
#[bench::of_200(batch(200))]
fn decide_a_batch(commands: &'static [&'static Command]) -> impl Sized {
    decide_all(black_box(commands))
}

#[library_benchmark]
#[bench::of_1_line(draft(1))]
#[bench::of_10_lines(draft(10))]
fn price_an_order((draft, offers): (Draft, Offers)) -> impl Sized {
    let placement = black_box(&draft).price(&offers, &terms(), OrderId::new(), LineId::new);
    (placement, draft, offers)
}

#[library_benchmark]
fn parse_an_order() -> Json<PlaceOrder> {
    Json::parse(black_box(ORDER.as_bytes())).expect("it is well formed")
}

#[library_benchmark]
#[bench::of_1_line(order())]
fn serialise_an_order((placement, facts, state): (Placement, Facts, State)) -> impl Sized {
    let bytes = OrderBody::new(black_box(&placement), &facts, &state, None).to_bytes();
    (bytes, placement, state)
}

#[library_benchmark]
fn derive_an_order_token() -> String {
    secrets().order_token(black_box(OrderId::new()))
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
