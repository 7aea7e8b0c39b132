//! The rules of an import: what a row asks for, and what it changes. Pure.

use super::source::{Cells, Column};
use crate::catalog::product::{self, NewProduct, NewVariant, Status};
use crate::id::{ProductId, VariantId};
use crate::money::{Currency, Money};
use std::collections::BTreeMap;

/// A row that keeps to the rules: a product with one variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// Its SKU.
    pub sku: String,
    /// Its title.
    pub title: String,
    /// Its price in one currency.
    pub price: Money,
    /// Left as it is unless given.
    pub description: Option<String>,
    /// Left as it is unless given; derived from the title for a new product.
    pub slug: Option<String>,
    /// Left as it is unless given; active for a new product.
    pub status: Option<&'static str>,
}

/// What the catalog knows of a row's SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The variant.
    pub variant: VariantId,
    /// Its product.
    pub product: ProductId,
    /// The product's title.
    pub title: String,
    /// The product's slug.
    pub slug: String,
    /// The product's description.
    pub description: String,
    /// The product's status.
    pub status: Status,
    /// The variant's price in the row's currency, if it has one.
    pub amount: Option<i64>,
    /// Whether the product has other variants.
    pub has_siblings: bool,
}

/// What a row does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Makes a product.
    Create(NewProduct),
    /// Changes one.
    Change(Change),
    /// Nothing.
    Nothing,
    /// Cannot be done.
    Refuse(&'static str),
}

/// What changes; what is not given stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The product.
    pub product: ProductId,
    /// The variant.
    pub variant: VariantId,
    /// The product's new title.
    pub title: Option<String>,
    /// The product's new slug.
    pub slug: Option<String>,
    /// The product's new description.
    pub description: Option<String>,
    /// The product's new status.
    pub status: Option<Status>,
    /// The variant's new price.
    pub price: Option<Money>,
}

impl Change {
    /// Whether orders must learn of it.
    pub fn concerns_offer(&self) -> bool {
        self.title.is_some() || self.status.is_some() || self.price.is_some()
    }

    fn concerns_product(&self) -> bool {
        let texts = [&self.title, &self.slug, &self.description];
        texts.into_iter().any(Option::is_some) || self.status.is_some()
    }
}

/// What a row's cells say, or everything that is wrong with them.
pub fn read(cells: &Cells, currency: Currency) -> Result<Row, String> {
    let mut wrong = Vec::new();
    let title = required(cells, Column::Title).and_then(product::title);
    let sku = required(cells, Column::Sku).and_then(product::sku);
    let amount = required(cells, Column::PriceMinor).and_then(amount);
    let code = optional(cells, Column::Currency, product::currency);
    let description = optional(cells, Column::Description, product::description);
    let slug = optional(cells, Column::Slug, product::slug);
    let status = optional(cells, Column::Status, product::status);
    let row = Row {
        sku: note(&mut wrong, Column::Sku, sku).unwrap_or_default().to_owned(),
        title: note(&mut wrong, Column::Title, title).unwrap_or_default().to_owned(),
        price: Money::new(
            note(&mut wrong, Column::PriceMinor, amount).unwrap_or_default(),
            note(&mut wrong, Column::Currency, code).flatten().unwrap_or(currency),
        ),
        description: note(&mut wrong, Column::Description, description)
            .flatten()
            .map(str::to_owned),
        slug: note(&mut wrong, Column::Slug, slug).flatten().map(str::to_owned),
        status: note(&mut wrong, Column::Status, status).flatten().map(Status::as_str),
    };
    if wrong.is_empty() { Ok(row) } else { Err(wrong.join("; ")) }
}

fn required(cells: &Cells, column: Column) -> product::Checked<&str> {
    cells.get(column).ok_or("is missing")
}

fn optional<'c, T>(
    cells: &'c Cells,
    column: Column,
    check: impl Fn(&'c str) -> product::Checked<T>,
) -> product::Checked<Option<T>> {
    cells.get(column).map(check).transpose()
}

fn amount(text: &str) -> product::Checked<i64> {
    let number = text.trim().parse().map_err(|_| "must be an integer, in minor units")?;
    product::amount(number)
}

fn note<T>(wrong: &mut Vec<String>, column: Column, value: product::Checked<T>) -> Option<T> {
    value.map_err(|detail| wrong.push(format!("{} {detail}", column.name()))).ok()
}

/// What to do about a row.
pub fn plan(row: &Row, known: Option<&Known>) -> Plan {
    let status = row.status.and_then(|text| product::status(text).ok());
    let Some(known) = known else { return Plan::Create(create(row, status)) };
    let differs = |new: &Option<String>, old: &str| new.clone().filter(|new| new != old);
    let change = Change {
        product: known.product,
        variant: known.variant,
        title: differs(&Some(row.title.clone()), &known.title),
        slug: differs(&row.slug, &known.slug),
        description: differs(&row.description, &known.description),
        status: status.filter(|status| *status != known.status),
        price: (known.amount != Some(row.price.amount)).then_some(row.price),
    };
    match (change.concerns_product(), known.has_siblings) {
        // Rows that name different titles for one product would undo each other for ever.
        (true, true) => {
            Plan::Refuse("the product has several variants: an import can change its prices only")
        }
        (false, _) if change.price.is_none() => Plan::Nothing,
        _ => Plan::Change(change),
    }
}

fn create(row: &Row, status: Option<Status>) -> NewProduct {
    let variant =
        NewVariant { sku: row.sku.clone(), prices: vec![row.price], options: BTreeMap::new() };
    NewProduct {
        slug: row.slug.clone(),
        title: row.title.clone(),
        status: status.unwrap_or(Status::Active),
        description: row.description.clone().unwrap_or_default(),
        media: Vec::new(),
        tags: Vec::new(),
        options: Vec::new(),
        category_ids: Vec::new(),
        variants: vec![variant],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gbp() -> Currency {
        "GBP".parse().unwrap()
    }

    fn row(cells: &[(Column, &str)]) -> Result<Row, String> {
        let mut all = Cells::default();
        cells.iter().for_each(|(column, text)| all.set(*column, (*text).to_owned()));
        read(&all, gbp())
    }

    fn mug(more: &[(Column, &str)]) -> Row {
        let mut cells =
            vec![(Column::Sku, "MUG-1"), (Column::Title, "Mug"), (Column::PriceMinor, "1299")];
        cells.extend(more);
        row(&cells).unwrap()
    }

    fn known() -> Known {
        Known {
            variant: VariantId::new(),
            product: ProductId::new(),
            title: "Mug".to_owned(),
            slug: "mug".to_owned(),
            description: "Holds tea.".to_owned(),
            status: Status::Draft,
            amount: Some(1299),
            has_siblings: false,
        }
    }

    #[test]
    fn a_bad_row_tells_everything_that_is_wrong_with_it() {
        let bad = row(&[
            (Column::Title, " "),
            (Column::PriceMinor, "12.99"),
            (Column::Currency, "gbp"),
            (Column::Status, "sold"),
        ]);
        assert_eq!(
            bad.unwrap_err(),
            "sku is missing; title is missing; price_minor must be an integer, in minor units; \
             currency must be an ISO 4217 currency code in capitals; \
             status must be draft, active or archived"
        );
        let negative =
            row(&[(Column::Sku, "A"), (Column::Title, "A"), (Column::PriceMinor, "-1")]);
        assert_eq!(negative.unwrap_err(), "price_minor must be from 0 to 1,000,000,000,000");
    }

    #[test]
    fn what_a_row_does_not_say_stays_as_it_is() {
        assert_eq!(plan(&mug(&[]), Some(&known())), Plan::Nothing);
        let Plan::Create(made) = plan(&mug(&[]), None) else { panic!("not a creation") };
        assert_eq!((made.status, made.slug), (Status::Active, None));
    }

    #[test]
    fn only_what_differs_is_changed() {
        let row = mug(&[(Column::Status, "active"), (Column::Slug, "mug")]);
        let Plan::Change(change) = plan(&row, Some(&known())) else { panic!("not a change") };
        assert_eq!(change.status, Some(Status::Active));
        assert_eq!((&change.title, &change.slug, change.price), (&None, &None, None));
        assert!(change.concerns_offer());
        let row = mug(&[(Column::Description, "Holds coffee.")]);
        let Plan::Change(change) = plan(&row, Some(&known())) else { panic!("not a change") };
        assert!(!change.concerns_offer());
    }

    #[test]
    fn a_new_currency_adds_a_price() {
        let known = Known { amount: None, ..known() };
        let Plan::Change(change) = plan(&mug(&[]), Some(&known)) else { panic!("not a change") };
        assert_eq!(change.price, Some(Money::new(1299, gbp())));
    }

    #[test]
    fn products_with_several_variants_change_only_their_prices() {
        let known = Known { has_siblings: true, amount: Some(1), ..known() };
        assert!(matches!(plan(&mug(&[]), Some(&known)), Plan::Change(_)));
        let known = Known { title: "Cup".to_owned(), ..known };
        assert!(matches!(plan(&mug(&[]), Some(&known)), Plan::Refuse(_)));
    }
}
