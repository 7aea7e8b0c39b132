//! Does a stored order say what its acknowledgement said, and that what was asked for?

use crate::order::{Acknowledged, Item, Money, NewOrder};
use crate::stored::{Line, Order};
use crate::type_id;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// How a stored order differs from its acknowledgement.
pub fn differences(told: &Acknowledged, found: &Order) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, told: &dyn fmt::Display, found: &dyn fmt::Display| {
        let (told, found) = (told.to_string(), found.to_string());
        if told != found {
            wrong.push(format!("{what}: acknowledged {told}, stored {found}"));
        }
    };
    let number = told.number.as_str().map_or_else(|| told.number.to_string(), str::to_owned);
    same("number", &number, &found.number);
    same("email", &told.email, &found.email);
    let money = |amount: i64| Money { amount, currency: found.currency.clone() };
    same("subtotal", &told.subtotal, &money(found.subtotal));
    same("discount", &told.discount, &money(found.discount));
    same("shipping", &told.shipping, &money(found.shipping));
    same("tax", &told.tax, &money(found.tax));
    same("total", &told.total, &money(found.total));
    let (told_to, found_to) = (&told.shipping_address, &found.shipping_address);
    same("shipping_address", &without_nulls(told_to), &without_nulls(found_to));
    same("lines", &told.items.len(), &found.lines.len());

    let (told_lines, found_lines) = (told_lines(told), found_lines(found));
    for (told, found) in told_lines.iter().zip(&found_lines) {
        same("line", told, found);
    }
    if !reachable(&told.status, &found.status) {
        wrong.push(format!(
            "status: acknowledged {}, stored {}, which does not follow from it",
            told.status, found.status
        ));
    }
    if found.subtotal != found.lines.iter().map(|line| line.total).sum::<i64>() {
        wrong.push(format!("subtotal: {} is not the sum of its lines", found.subtotal));
    }
    wrong
}

/// The lines as text, in an order of their own: an order has no two lines that look alike.
fn told_lines(order: &Acknowledged) -> Vec<String> {
    let mut lines: Vec<String> = order
        .items
        .iter()
        .map(|line| {
            let variant = type_id::decode("var", &line.variant_id);
            let variant = variant.map_or_else(|| line.variant_id.clone(), variant_name);
            line_text(
                &line.sku,
                &line.title,
                line.quantity,
                &line.unit_price,
                &line.total,
                &variant,
            )
        })
        .collect();
    lines.sort_unstable();
    lines
}

fn found_lines(order: &Order) -> Vec<String> {
    let money = |amount: i64| Money { amount, currency: order.currency.clone() };
    let text = |line: &Line| {
        let (unit_price, total) = (money(line.unit_price), money(line.total));
        let variant = variant_name(line.variant_id);
        line_text(&line.sku, &line.title, line.quantity, &unit_price, &total, &variant)
    };
    let mut lines: Vec<String> = order.lines.iter().map(text).collect();
    lines.sort_unstable();
    lines
}

fn line_text(
    sku: &str,
    title: &str,
    quantity: i64,
    unit_price: &Money,
    total: &Money,
    variant: &str,
) -> String {
    format!("{sku} {title:?} {quantity} × {unit_price} = {total} {variant}")
}

/// How an acknowledgement differs from what was asked for.
pub fn not_as_asked(told: &Acknowledged, sent: &NewOrder) -> Vec<String> {
    let mut wrong = Vec::new();
    if told.email != sent.email {
        wrong.push(format!("asked for {}, acknowledged for {}", sent.email, told.email));
    }
    let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
    for Item { sku, quantity } in &sent.items {
        *balance.entry(sku).or_default() -= quantity;
    }
    for line in &told.items {
        *balance.entry(&line.sku).or_default() += line.quantity;
    }
    for (sku, difference) in balance.into_iter().filter(|(_, difference)| *difference != 0) {
        wrong.push(format!("{difference:+} units of {sku} acknowledged than asked for"));
    }
    let address = serde_json::to_value(&sent.shipping_address).unwrap_or_default();
    if without_nulls(&told.shipping_address) != without_nulls(&address) {
        let told = &told.shipping_address;
        wrong.push(format!("asked to ship to {address}, acknowledged {told}"));
    }
    wrong
}

/// Whether an order acknowledged in one status may rightly be found in the other.
fn reachable(from: &str, to: &str) -> bool {
    let next: &[&str] = match from {
        "pending_payment" => &["paid", "cancelled", "expired"],
        // Paid after all, when the stock could be taken again.
        "expired" => &["paid"],
        "confirmed" => &["paid", "fulfilled", "cancelled"],
        "paid" => &["fulfilled"],
        "fulfilled" => &["completed"],
        _ => &[],
    };
    from == to || next.iter().any(|next| reachable(next, to))
}

/// An optional member may be absent or null.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let present = members.iter().filter(|(_, value)| !value.is_null());
            present.map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        other => other.clone(),
    }
}

fn variant_name(id: Uuid) -> String {
    type_id::encode("var", id)
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_only_move_forward() {
        for (from, to) in [
            ("confirmed", "confirmed"),
            ("confirmed", "completed"),
            ("pending_payment", "paid"),
            ("pending_payment", "completed"),
            ("expired", "paid"),
            ("paid", "fulfilled"),
        ] {
            assert!(reachable(from, to), "{from} → {to}");
        }
        for (from, to) in [
            ("confirmed", "pending_payment"),
            ("confirmed", "expired"),
            ("paid", "cancelled"),
            ("paid", "pending_payment"),
            ("cancelled", "paid"),
            ("completed", "cancelled"),
        ] {
            assert!(!reachable(from, to), "{from} → {to}");
        }
    }
}
