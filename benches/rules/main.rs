//! What the rules cost, without SQL, actors or a network.  `benches/instructions.rs` counts the
//! same, where a clock would tell of the neighbours.

mod goods;

use divan::{Bencher, black_box};
use doorbuster::id::{LineId, OrderId};
use doorbuster::json::Json;
use doorbuster::order::routes::PlaceOrder;
use doorbuster::order::{Command, OrderBody};
use doorbuster::rate_limit::{Ask, Rate, RateLimits, Rates, Rule};
use futures_util::FutureExt;
use goods::{ORDER, decide_all, draft, order, place, secrets, terms};

// The allocator that the server has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// A full batch of one-line orders: every outcome with its 201, and what is to be written.
#[divan::bench]
fn decide_a_batch_of_200(bencher: Bencher) {
    let commands: Vec<Command> = (0..200).map(|_| place()).collect();
    let commands: Vec<&Command> = commands.iter().collect();
    bencher
        .counter(divan::counter::ItemsCount::new(commands.len()))
        .bench(|| decide_all(black_box(&commands)));
}

#[divan::bench(args = [1, 10])]
fn price_an_order(bencher: Bencher, lines: usize) {
    let (draft, offers) = draft(lines);
    let terms = terms();
    bencher.bench(|| black_box(&draft).price(&offers, &terms, OrderId::new(), LineId::new));
}

#[divan::bench]
fn parse_an_order() -> Json<PlaceOrder> {
    Json::parse(black_box(ORDER.as_bytes())).expect("it is well formed")
}

#[divan::bench]
fn serialise_an_order(bencher: Bencher) {
    let (placement, facts, state) = order();
    let token = secrets().order_token(placement.id);
    bencher
        .bench(|| OrderBody::new(black_box(&placement), &facts, &state, Some(&token)).to_bytes());
}

#[divan::bench]
fn derive_an_order_token(bencher: Bencher) {
    let (secrets, order) = (secrets(), OrderId::new());
    bencher.bench(|| secrets.order_token(black_box(order)));
}

/// What an order asks of the limits of clients, without Redis.
#[divan::bench]
fn take_from_four_limits(bencher: Bencher) {
    let rates = Rates::of(|_| Rate::parse("1000000/second burst 1000000"));
    let limits = RateLimits::new(rates, None, Vec::new());
    let of_address = |rule| Ask { rule, of: b"203.0.113.1" };
    let of_token = |rule| Ask { rule, of: b"dbs_nXW1aV8H8TxAx2YcLDVPoFZbH1HHS8jWVJ0Ty0lG2kM" };
    let asks = [
        of_address(Rule::Address),
        of_address(Rule::AddressOrders),
        of_token(Rule::Credential),
        of_token(Rule::CredentialOrders),
    ];
    bencher.bench(|| limits.take(black_box(&asks)).now_or_never());
}
