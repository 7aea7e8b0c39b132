//! What a sale has to sell, and who wants what.

use std::collections::BTreeMap;

/// Buyers who want the same SKU one after another.
pub const BUYERS_PER_SKU: usize = 4;

/// Of so many buyers one after another the last quarter wants what is scarce, another SKU each
/// time: so the last units go again and again, and between them batches are without such a line.
const PERIOD: usize = 96;
const SCARCE_FROM: usize = PERIOD - PERIOD / 4;

/// Of a scarce SKU there is half as much as is wanted.
pub const SCARCE_UNITS: i64 = (PERIOD / 8) as i64;

/// The SKUs that are sold.
#[derive(Default)]
pub struct Shelf {
    /// Those that are wanted in turn.
    pub skus: Vec<String>,
    /// Those that are wanted one after another, each for a while.
    pub scarce: Vec<String>,
    /// Units that were wanted of each.
    wanted: BTreeMap<String, i64>,
}

impl Shelf {
    /// How many scarce SKUs so many buyers want.
    pub fn scarce_for(buyers: usize) -> usize {
        buyers.div_ceil(PERIOD)
    }

    /// Notes and returns what the `n`th buyer of all wants one unit of, who is the `turn`th of
    /// those who come now.
    pub fn wish(&mut self, n: usize, turn: usize) -> String {
        let sku = match n % PERIOD >= SCARCE_FROM && !self.scarce.is_empty() {
            true => &self.scarce[n / PERIOD % self.scarce.len()],
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
    let wishes: Vec<String> = (0..3 * PERIOD - 20).map(|n| shelf.wish(n, n)).collect();
    let count = |sku: &str| wishes.iter().filter(|wish| *wish == sku).count();
    assert_eq!((count("P"), count("A"), count("B")), (216, 28, 24));
    let units = |sku: &str, units| (sku.to_owned(), units);
    let supplied = [units("P", 1_000), units("A", SCARCE_UNITS), units("B", 30)];
    assert_eq!(shelf.enough_for(&supplied.into()), 216 + SCARCE_UNITS + 24);
}
