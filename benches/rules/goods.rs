//! What the rules work on.

#[path = "address.rs"]
mod address;

use doorbuster::auth::Secrets;
use doorbuster::catalog::Offer;
use doorbuster::id::{LineId, OrderId, PaymentId, VariantId};
use doorbuster::idempotency::{ANONYMOUS, Claim};
use doorbuster::money::Money;
use doorbuster::order::{
    Command, Draft, DraftItem, Facts, NewPayment, PaymentStatus, Periods, Placement, State,
    Status, World, decide,
};
use doorbuster::payment;
use doorbuster::pricing::Terms;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-27 09:00:00.123456 UTC);

pub const ORDER: &str = r#"{
    "items": [{"sku": "MUG-1", "quantity": 1}],
    "email": "ada@example.com",
    "shipping_address": {"name": "Ada Lovelace", "line1": "12 St James's Square",
        "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"},
    "payment": {"provider": "manual"}
}"#;

pub fn secrets() -> Secrets {
    Secrets::new("", vec![7; 32])
}

pub fn terms() -> Terms {
    let currency = "GBP".parse().expect("a currency");
    Terms { currency, shipping: 500, tax_rate: 200_000 }
}

/// What is known of the items of a draft.
pub type Offers = Vec<Option<Arc<Offer>>>;

pub fn draft(lines: usize) -> (Draft, Offers) {
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
        shopper: None,
        cart_version: None,
        currency: None,
        items: offers.iter().enumerate().map(item).collect(),
        email: "ada@example.com".to_owned(),
        shipping_address: address::address(),
        expected_total: None,
    };
    (draft, offers.into_iter().map(Arc::new).map(Some).collect())
}

/// Every outcome with its 201, and what is to be written.
pub fn decide_all(commands: &[&Command]) -> impl Sized {
    let periods = Periods {
        pay_within: Duration::from_secs(900),
        processing_max: Duration::from_secs(3600),
    };
    let world = World::presumed(commands, NOW, 1_001_000, periods);
    decide(commands.iter().copied(), world)
}

/// An order that was placed on invoice.
pub fn order() -> (Placement, Facts, State) {
    let facts = Facts { number: 1_001_000, created_at: NOW, pay_by: None };
    let state = State {
        status: Status::Confirmed,
        payment_status: PaymentStatus::Pending,
        fulfillment_status: "unfulfilled".to_owned(),
        payments: Vec::new(),
    };
    (placement(), facts, state)
}

fn placement() -> Placement {
    let (draft, offers) = draft(1);
    let placement = draft.price(&offers, &terms(), OrderId::new(), LineId::new);
    placement.expect("there is a price for it")
}

pub fn place() -> Command {
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
