//! What a sale has to sell, and who wants what.

use std::collections::BTreeMap;

/// Buyers who want the same SKU one after another.
pub const BUYERS_PER_SKU: usize = 4;

/// Of so many such groups the last one wants what is scarce.
const GROUPS: usize = 4;

/// So many buyers come while there is something of a scarce SKU, so that the last units go all the
/// time, whenever a fault strikes.
const BUYERS_PER_SCARCE_SKU: usize = 64;

/// Of a scarce SKU there is so much: half of what is wanted.
pub const SCARCE_UNITS: i64 = (BUYERS_PER_SCARCE_SKU / GROUPS / 2) as i64;

/// The SKUs that are sold.
#[derive(Default)]
pub struct Shelf {
    /// Those that are wanted in turn.
    pub skus: Vec<String>,
    /// Those that are wanted for a while each.
    pub scarce: Vec<String>,
    /// Units that were wanted of each.
    wanted: BTreeMap<String, i64>,
}

impl Shelf {
    /// How many scarce SKUs so many buyers use up.
    pub fn scarce_for(buyers: usize) -> usize {
        buyers.div_ceil(BUYERS_PER_SCARCE_SKU)
    }

    /// What the `n`th buyer of all wants one unit of, who is the `turn`th since it began to sell.
    pub fn wish(&mut self, n: usize, turn: usize) -> String {
        let is_scarce = n / BUYERS_PER_SKU % GROUPS == GROUPS - 1 && !self.scarce.is_empty();
        let sku = match is_scarce {
            true => &self.scarce[n / BUYERS_PER_SCARCE_SKU % self.scarce.len()],
            false => &self.skus[turn / BUYERS_PER_SKU % self.skus.len()],
        };
        *self.wanted.entry(sku.clone()).or_default() += 1;
        sku.clone()
    }

    /// How many buyers can have what they want when there were so many units.
    pub fn enough_for(&self, supplied: &BTreeMap<String, i64>) -> i64 {
        self.wanted.iter().map(|(sku, wanted)| *wanted.min(&supplied[sku])).sum()
    }
}

#[test]
fn whoever_wants_what_is_scarce_comes_again_and_again() {
    let (skus, scarce) = (vec!["P".to_owned()], vec!["A".to_owned(), "B".to_owned()]);
    let mut shelf = Shelf { skus, scarce, ..Shelf::default() };
    let wishes: Vec<String> = (0..160).map(|n| shelf.wish(n, n)).collect();
    let count = |sku: &str| wishes.iter().filter(|wish| *wish == sku).count();
    assert_eq!((count("P"), count("A"), count("B")), (120, 24, 16));
    assert_eq!(wishes[12..16], ["A"; 4]);
    let units = |sku: &str, units| (sku.to_owned(), units);
    let supplied = [units("P", 1_000), units("A", SCARCE_UNITS), units("B", 20)];
    assert_eq!(shelf.enough_for(&supplied.into()), 120 + SCARCE_UNITS + 16);
}
