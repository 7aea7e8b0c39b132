//! A cart as the API shows it.

use super::cart::{Cart, Shop};
use crate::contact::Address;
use crate::id::{ItemId, VariantId};
use crate::idempotency::Reply;
use crate::money::{Currency, Money};
use crate::pricing::Totals;
use serde::Serialize;
use utoipa::ToSchema;

/// A cart with today's prices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cart, example = json!({
    "version": 2, "region": null, "currency": "GBP",
    "items": [{
        "id": "item_01h455vb4pex5vsknk084sn02q",
        "variant_id": "var_01h455vb4pex5vsknk084sn02q",
        "sku": "MUG-1", "title": "Enamel mug", "status": "available", "quantity": 2,
        "unit_price": {"amount": 1299, "currency": "GBP"},
        "total": {"amount": 2598, "currency": "GBP"},
    }],
    "subtotal": {"amount": 2598, "currency": "GBP"},
    "discount": {"amount": 0, "currency": "GBP"},
    "shipping": {"amount": 399, "currency": "GBP"},
    "tax": {"amount": 599, "currency": "GBP"},
    "total": {"amount": 3596, "currency": "GBP"},
    "email": "ada@example.com", "shipping_address": null, "shipping_option": "standard",
}))]
pub struct CartBody<'a> {
    /// Grows by one with every change; also the `ETag`.
    pub version: i64,
    /// There is only one region so far.
    #[schema(value_type = Option<String>, required)]
    pub region: Option<()>,
    /// Of all amounts.
    pub currency: Currency,
    /// The lines, in the order of first adding.
    pub items: Vec<ItemBody<'a>>,
    /// Sum of the lines.
    pub subtotal: Money,
    /// Taken off.
    pub discount: Money,
    /// Flat, once there are items.
    pub shipping: Money,
    /// On subtotal − discount + shipping.
    pub tax: Money,
    /// What an order would cost now.
    pub total: Money,
    /// Who buys.
    #[schema(required)]
    pub email: Option<&'a str>,
    /// Where it goes.
    #[schema(required)]
    pub shipping_address: Option<&'a Address>,
    /// How it goes there.
    #[schema(required)]
    pub shipping_option: Option<&'a str>,
}

/// A line of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CartItem)]
pub struct ItemBody<'a> {
    /// The id.
    pub id: ItemId,
    /// What.
    pub variant_id: VariantId,
    /// Its SKU.
    #[schema(example = "MUG-1")]
    pub sku: &'a str,
    /// The product's title.
    pub title: &'a str,
    /// Whether it can be ordered at all; how many there are is not looked at.
    pub status: ItemStatus,
    /// Units.
    pub quantity: i64,
    /// Of one unit, today.
    pub unit_price: Money,
    /// quantity × unit price.
    pub total: Money,
}

/// Whether a line is for sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CartItemStatus)]
pub enum ItemStatus {
    /// It is.
    Available,
    /// No longer, or not in this currency: it must be taken out before checkout.
    Unavailable,
}

/// What a cart shows whose total does not fit: such a cart cannot be made, but prices may rise.
const TOO_LARGE: Totals =
    Totals { subtotal: i64::MAX, discount: 0, shipping: 0, tax: 0, total: i64::MAX };

impl<'a> CartBody<'a> {
    /// The cart as it is priced now.
    pub fn new(cart: &'a Cart, shop: &'a Shop) -> Self {
        let priced = cart.price(shop);
        let money = |amount| Money::new(amount, priced.currency);
        let items = cart.items.iter().zip(&priced.lines).map(|(item, line)| {
            let offer = shop.offers.get(&item.variant);
            ItemBody {
                id: item.id,
                variant_id: item.variant,
                sku: offer.map_or("", |offer| &offer.sku),
                title: offer.map_or("", |offer| &offer.title),
                status: match line.is_available {
                    true => ItemStatus::Available,
                    false => ItemStatus::Unavailable,
                },
                quantity: item.quantity,
                unit_price: money(line.unit_price),
                total: money(line.total),
            }
        });
        let totals = priced.totals.unwrap_or(TOO_LARGE);
        Self {
            version: cart.version,
            region: None,
            currency: priced.currency,
            items: items.collect(),
            subtotal: money(totals.subtotal),
            discount: money(totals.discount),
            shipping: money(totals.shipping),
            tax: money(totals.tax),
            total: money(totals.total),
            email: cart.email.as_deref(),
            shipping_address: cart.shipping_address.as_ref(),
            shipping_option: cart.shipping_option.as_deref(),
        }
    }

    /// The answer that shows it.
    pub fn reply(&self) -> Reply {
        // Serialising plain structs into memory has no way to fail.
        Reply::ok(serde_json::to_vec(self).unwrap_or_default())
    }
}
