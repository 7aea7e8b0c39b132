//! What the rules cost, without SQL, actors or a network.

use divan::{Bencher, black_box};
use doorbuster::auth::Secrets;
use doorbuster::catalog::Offer;
use doorbuster::contact::Address;
use doorbuster::id::{LineId, OrderId, PaymentId, VariantId};
use doorbuster::idempotency::{ANONYMOUS, Claim};
use doorbuster::json::Json;
use doorbuster::money::Money;
use doorbuster::order::routes::PlaceOrder;
use doorbuster::order::{
    Command, Draft, DraftItem, Facts, NewPayment, OrderBody, PaymentStatus, Periods, Placement,
    State, Status, World, decide,
};
use doorbuster::payment;
use doorbuster::pricing::Terms;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use time::macros::datetime;

// The allocator that the server has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: OffsetDateTime = datetime!(2026-11-27 09:00:00.123456 UTC);

const ORDER: &str = r#"{
    "items": [{"sku": "MUG-1", "quantity": 1}],
    "email": "ada@example.com",
    "shipping_address": {"name": "Ada Lovelace", "line1": "12 St James's Square",
        "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"},
    "payment": {"provider": "manual"}
}"#;

fn main() {
    divan::main();
}

/// A full batch of one-line orders: every outcome with its 201, and what is to be written.
#[divan::bench]
fn decide_a_batch_of_200(bencher: Bencher) {
    let commands: Vec<Command> = (0..200).map(|_| place()).collect();
    let commands: Vec<&Command> = commands.iter().collect();
    let periods = Periods {
        pay_within: Duration::from_secs(900),
        processing_max: Duration::from_secs(3600),
    };
    bencher.counter(divan::counter::ItemsCount::new(commands.len())).bench(|| {
        let world = World::presumed(&commands, NOW, 1_001_000, periods);
        decide(black_box(&commands).iter().copied(), world)
    });
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
    let placement = placement();
    let facts = Facts { number: 1_001_000, created_at: NOW, pay_by: None };
    let state = State {
        status: Status::Confirmed,
        payment_status: PaymentStatus::Pending,
        fulfillment_status: "unfulfilled".to_owned(),
        payments: Vec::new(),
    };
    let token = secrets().order_token(placement.id);
    bencher
        .bench(|| OrderBody::new(black_box(&placement), &facts, &state, Some(&token)).to_bytes());
}

#[divan::bench]
fn derive_an_order_token(bencher: Bencher) {
    let (secrets, order) = (secrets(), OrderId::new());
    bencher.bench(|| secrets.order_token(black_box(order)));
}

fn secrets() -> Secrets {
    Secrets::new("", vec![7; 32])
}

fn terms() -> Terms {
    let currency = "GBP".parse().expect("a currency");
    Terms { currency, shipping: 500, tax_rate: 200_000 }
}

fn draft(lines: usize) -> (Draft, Vec<Option<Arc<Offer>>>) {
    let offer = |index: usize| Offer {
        variant: VariantId::new(),
        sku: format!("MUG-{index}"),
        title: "Enamel mug".to_owned(),
        prices: vec![Money::new(1299, terms().currency)],
        offer_version: 1,
        is_sold: true,
    };
    let offers: Vec<Offer> = (0..lines).map(offer).collect();
    let item = |(index, offer): (usize, &Offer)| DraftItem {
        sku: offer.sku.clone(),
        variant: None,
        quantity: 1,
        index,
    };
    let draft = Draft {
        session: None,
        cart_version: None,
        currency: None,
        items: offers.iter().enumerate().map(item).collect(),
        email: "ada@example.com".to_owned(),
        shipping_address: Address {
            name: "Ada Lovelace".to_owned(),
            line1: "12 St James's Square".to_owned(),
            line2: None,
            city: "London".to_owned(),
            region: None,
            postal_code: Some("SW1Y 4JH".to_owned()),
            country: "GB".to_owned(),
            phone: None,
        },
        expected_total: None,
    };
    (draft, offers.into_iter().map(Arc::new).map(Some).collect())
}

fn placement() -> Placement {
    let (draft, offers) = draft(1);
    let placement = draft.price(&offers, &terms(), OrderId::new(), LineId::new);
    placement.expect("there is a price for it")
}

fn place() -> Command {
    let placement = placement();
    let access_token = secrets().order_token(placement.id);
    Command::Place {
        claim: Claim {
            scope: ANONYMOUS.into(),
            key: placement.id.to_string().into(),
            request_hash: [7; 32],
        },
        placement: Arc::new(placement),
        payment: NewPayment {
            id: PaymentId::new(),
            provider: "manual",
            token: None,
            terms: payment::Terms::Invoice,
        },
        access_token,
        cart_version: None,
    }
}
