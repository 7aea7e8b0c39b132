//! A year of orders of a real shop: the "Online Retail" data set (doi:10.24432/C5BW33), as
//! lines in `orders.csv.gz` with the columns invoice, timestamp, customer_id, country, sku,
//! quantity and unit_price_minor.

use anyhow::{Context, bail, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// One invoice, its repeated SKUs merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Its number.
    pub number: String,
    /// The buyer; empty where the source has none.
    pub customer: String,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// SKU and units, in the order of the file.
    pub items: Vec<(String, i64)>,
    /// The first timestamp; some invoices carry two.
    arrived: String,
}

#[derive(Deserialize)]
struct Row {
    invoice: String,
    timestamp: String,
    customer_id: String,
    country: String,
    sku: String,
    quantity: i64,
}

/// Reads the invoices of `orders.csv.gz` in a directory, in the order of their arrival.
pub fn read_invoices(directory: &Path) -> anyhow::Result<Vec<Invoice>> {
    let path = directory.join("orders.csv.gz");
    let file = File::open(&path).with_context(|| format!("cannot read {path:?}"))?;
    parse_invoices(GzDecoder::new(file)).with_context(|| format!("in {path:?}"))
}

fn parse_invoices(csv: impl Read) -> anyhow::Result<Vec<Invoice>> {
    let mut invoices: Vec<Invoice> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (number, row) in csv::Reader::from_reader(csv).into_deserialize::<Row>().enumerate() {
        let row = row.with_context(|| format!("order line {}", number + 1))?;
        let place = match places.get(&row.invoice) {
            Some(place) => *place,
            None => {
                places.insert(row.invoice.clone(), invoices.len());
                invoices.push(Invoice {
                    country: country_code(&row.country)?,
                    number: row.invoice.clone(),
                    customer: row.customer_id.clone(),
                    items: Vec::new(),
                    arrived: row.timestamp.clone(),
                });
                invoices.len() - 1
            }
        };
        invoices[place].add(row)?;
    }
    // Stable: invoices of one minute stay in the order of their first appearance.
    invoices.sort_by(|a, b| a.arrived.cmp(&b.arrived));
    Ok(invoices)
}

impl Invoice {
    fn add(&mut self, row: Row) -> anyhow::Result<()> {
        ensure!(row.quantity > 0, "invoice {}: quantity {}", row.invoice, row.quantity);
        if row.timestamp < self.arrived {
            self.arrived = row.timestamp;
        }
        // Baskets are small: 27 lines on average, 1,112 at most.
        match self.items.iter_mut().find(|(sku, _)| *sku == row.sku) {
            Some((_, quantity)) => *quantity += row.quantity,
            None => self.items.push((row.sku, row.quantity)),
        }
        Ok(())
    }
}

/// Units of each SKU in these invoices.
pub fn units(invoices: &[Invoice]) -> BTreeMap<String, i64> {
    let mut units: BTreeMap<String, i64> = BTreeMap::new();
    for (sku, quantity) in invoices.iter().flat_map(|invoice| &invoice.items) {
        *units.entry(sku.clone()).or_default() += quantity;
    }
    units
}

/// The 38 names of the data set.
const COUNTRIES: [(&str, &str); 38] = [
    ("Australia", "AU"),
    ("Austria", "AT"),
    ("Bahrain", "BH"),
    ("Belgium", "BE"),
    ("Brazil", "BR"),
    ("Canada", "CA"),
    // Jersey or Guernsey, the source does not say: the larger one.
    ("Channel Islands", "JE"),
    ("Cyprus", "CY"),
    ("Czech Republic", "CZ"),
    ("Denmark", "DK"),
    ("EIRE", "IE"),
    // Not a country; its institutions sit in Brussels.
    ("European Community", "BE"),
    ("Finland", "FI"),
    ("France", "FR"),
    ("Germany", "DE"),
    ("Greece", "GR"),
    ("Hong Kong", "HK"),
    ("Iceland", "IS"),
    ("Israel", "IL"),
    ("Italy", "IT"),
    ("Japan", "JP"),
    ("Lebanon", "LB"),
    ("Lithuania", "LT"),
    ("Malta", "MT"),
    ("Netherlands", "NL"),
    ("Norway", "NO"),
    ("Poland", "PL"),
    ("Portugal", "PT"),
    ("RSA", "ZA"),
    ("Saudi Arabia", "SA"),
    ("Singapore", "SG"),
    ("Spain", "ES"),
    ("Sweden", "SE"),
    ("Switzerland", "CH"),
    ("USA", "US"),
    ("United Arab Emirates", "AE"),
    ("United Kingdom", "GB"),
    // The shop's own country, where 92 % of the lines go.
    ("Unspecified", "GB"),
];

fn country_code(name: &str) -> anyhow::Result<&'static str> {
    match COUNTRIES.iter().find(|(known, _)| *known == name) {
        Some((_, code)) => Ok(code),
        None => bail!("no ISO code is known for the country {name:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "invoice,timestamp,customer_id,country,sku,quantity,unit_price_minor\n";

    fn parse(rows: &str) -> anyhow::Result<Vec<Invoice>> {
        parse_invoices(format!("{HEAD}{rows}").as_bytes())
    }

    #[test]
    fn invoices_come_by_first_timestamp_then_first_appearance() {
        let invoices = parse(
            "C,2010-12-01T08:27:00,,EIRE,X,1,100\n\
             B,2010-12-01T08:27:00,17850,RSA,X,2,100\n\
             A,2010-12-01T08:28:00,,USA,Y,3,100\n\
             C,2010-12-01T08:28:00,,EIRE,Y,4,100\n\
             C,2010-12-01T08:28:00,,EIRE,X,5,100\n\
             A,2010-12-01T08:26:00,,USA,Z,80995,100\n",
        )
        .unwrap();
        let numbers: Vec<_> = invoices.iter().map(|invoice| invoice.number.as_str()).collect();
        assert_eq!(numbers, ["A", "C", "B"]);
        let countries: Vec<_> = invoices.iter().map(|invoice| invoice.country).collect();
        assert_eq!(countries, ["US", "IE", "ZA"]);
        assert_eq!(invoices[1].items, [("X".to_owned(), 6), ("Y".to_owned(), 4)]);
        let units: Vec<_> = units(&invoices).into_iter().collect();
        let expected = [("X", 8), ("Y", 7), ("Z", 80_995)];
        assert_eq!(units, expected.map(|(sku, units)| (sku.to_owned(), units)));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let unknown = parse("A,2010-12-01T08:26:00,,Atlantis,X,1,100\n").unwrap_err();
        assert!(unknown.to_string().contains("Atlantis"), "{unknown}");
        assert!(parse("A,2010-12-01T08:26:00,,USA,X,0,100\n").is_err());
        assert!(parse("A,2010-12-01T08:26:00,,USA,X,1.5,100\n").is_err());
    }

    #[test]
    fn codes_are_two_letters_and_names_are_sorted() {
        assert!(COUNTRIES.is_sorted_by_key(|(name, _)| name));
        let letters =
            |code: &str| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
        assert!(COUNTRIES.iter().all(|(_, code)| letters(code)));
    }
}
