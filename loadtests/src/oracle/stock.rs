//! Was nothing oversold, and do the stock rows agree with the orders?

use super::{Verdict, asked};
use crate::order::Item;
use crate::record::Run;
use crate::stored::{Level, Stored};
use std::collections::{BTreeMap, HashMap};

/// Judges the stock of every SKU that was supplied.  `disappointed` are the fewest units of a SKU
/// that somebody was refused for want of stock.
pub fn judge(
    supplied: &BTreeMap<String, i64>,
    disappointed: &HashMap<String, i64>,
    stored: &Stored,
    verdict: &mut Verdict,
) {
    for (sku, supplied) in supplied {
        let name = format!("sku {sku}");
        let Some(level) = stored.levels.get(sku) else {
            verdict.find(name, format!("{supplied} units supplied, but it has no stock row"));
            continue;
        };
        verdict.checked.skus += 1;
        for wrong in wrong_levels(level, *supplied) {
            verdict.find(&name, wrong);
        }
        // Units that came back while it sold explain a refusal; there were none to come back.
        if let Some(least) = disappointed.get(sku.as_str())
            && level.available >= *least
            && level.released == 0
        {
            verdict.find(
                &name,
                format!("{} units are left, but {least} were refused", level.available),
            );
        }
    }
}

/// What one stock row, its supply and its orders contradict each other in.
fn wrong_levels(level: &Level, supplied: i64) -> Vec<String> {
    let Level { available, held, sold, unpaid, ordered, .. } = *level;
    let mut wrong = Vec::new();
    if unpaid + ordered > supplied {
        let live = unpaid + ordered;
        wrong.push(format!("oversold: {live} units in live orders, {supplied} were supplied"));
    }
    if held + sold > supplied {
        wrong.push(format!("oversold: held {held} + sold {sold} of {supplied} supplied"));
    }
    if level.supplied != supplied {
        let says = level.supplied;
        wrong.push(format!("the stock row says {says} supplied, but it was {supplied}"));
    }
    if level.supplied != available + held + sold || available < 0 || held < 0 || sold < 0 {
        wrong.push(format!("the stock row does not add up: {level:?}"));
    }
    if held != unpaid {
        wrong.push(format!("{held} held, but {unpaid} units in orders that wait for payment"));
    }
    if sold != ordered {
        wrong.push(format!("{sold} sold, but {ordered} units in confirmed or paid orders"));
    }
    wrong
}

/// The fewest units that were refused for want of stock, by SKU; of orders with one line, where
/// it is certain which SKU was meant.
pub fn refused_for_stock(run: &Run) -> HashMap<String, i64> {
    let mut fewest: HashMap<String, i64> = HashMap::new();
    for record in run.records.iter().filter(|record| record.label() == "409 out_of_stock") {
        let items = asked(record).map(|order| order.items).unwrap_or_default();
        if let [Item { sku, quantity }] = &items[..] {
            let least = fewest.entry(sku.clone()).or_insert(*quantity);
            *least = (*least).min(*quantity);
        }
    }
    fewest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_contradict_each_other_in_every_way() {
        let level = |supplied, available, held, sold, unpaid, ordered| Level {
            supplied,
            available,
            held,
            sold,
            unpaid,
            ordered,
            released: 0,
        };
        assert_eq!(wrong_levels(&level(10, 3, 2, 5, 2, 5), 10), Vec::<String>::new());
        for (level, expected) in [
            (level(10, 0, 0, 10, 0, 11), "oversold: 11 units in live orders"),
            (level(20, 5, 5, 10, 5, 10), "oversold: held 5 + sold 10 of 10"),
            (level(20, 15, 0, 5, 0, 5), "says 20 supplied"),
            (level(10, 4, 2, 5, 2, 5), "does not add up"),
            (level(10, -1, 0, 11, 0, 11), "does not add up"),
            (level(10, 3, 2, 5, 1, 5), "2 held, but 1 units"),
            (level(10, 3, 2, 5, 2, 4), "5 sold, but 4 units"),
        ] {
            let wrong = wrong_levels(&level, 10).join("; ");
            assert!(wrong.contains(expected), "{expected} not in: {wrong}");
        }
    }
}
