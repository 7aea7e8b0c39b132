//! The counts beside a list.

use super::super::listing::{Facet, FacetCount, FacetCounts, Facets, Listing};
use super::search::{IN_STOCK, Matching, Statement};
use crate::error::Problem;
use deadpool_postgres::Transaction;
use std::collections::BTreeMap;
use tokio_postgres::types::Type;

/// Values of a facet that are counted out, at most.
const VALUES_MAX: i64 = 100;

/// The facets of a list that finds nothing.
pub fn none(listing: &Listing) -> Facets {
    Facets(listing.facets.iter().map(|facet| (facet.name(), empty(facet))).collect())
}

fn empty(facet: &Facet) -> FacetCounts {
    match facet {
        Facet::Price => FacetCounts::Range { min: None, max: None },
        _ => FacetCounts::Values(Vec::new()),
    }
}

/// Counts all products that match, in one statement that finds them once.
pub async fn count(
    transaction: &Transaction<'_>,
    listing: &Listing,
    matching: &Matching,
) -> Result<Facets, Problem> {
    let mut statement = Statement::default();
    let matches = statement.matching(matching, listing);
    let parts: Vec<String> = listing
        .facets
        .iter()
        .enumerate()
        .map(|(at, facet)| {
            let counts = statement.facet(facet, listing);
            format!(
                "(SELECT {at}, f.* FROM ({counts}) f
                  ORDER BY f.count DESC, f.value COLLATE \"C\" LIMIT {VALUES_MAX})"
            )
        })
        .collect();
    statement.sql = format!(
        "WITH found AS MATERIALIZED (
             SELECT s.product_id, s.categories, s.collections, s.tags, s.options FROM {matches}
         ) {}",
        parts.join(" UNION ALL ")
    );
    let names: Vec<&Facet> = listing.facets.iter().collect();
    let mut counts: BTreeMap<String, FacetCounts> = none(listing).0;
    for row in statement.query(transaction).await? {
        let (at, count): (i32, Option<i64>) = (row.get(0), row.get(3));
        let Some(entry) = names.get(at as usize).and_then(|facet| counts.get_mut(&facet.name()))
        else {
            continue;
        };
        match entry {
            FacetCounts::Range { min, max } => (*min, *max) = (count, row.get(4)),
            FacetCounts::Values(values) => values.push(FacetCount {
                value: row.get(1),
                title: row.get(2),
                count: count.unwrap_or_default(),
            }),
        }
    }
    Ok(Facets(counts))
}

impl Statement {
    /// Rows of value, title, count (or lowest price), highest price.
    fn facet(&mut self, facet: &Facet, listing: &Listing) -> String {
        let nothing = "NULL::bigint AS highest";
        let places = |column: &str, table: &str| {
            format!(
                "SELECT c.slug AS value, c.title, f.count, {nothing} FROM (
                     SELECT id, count(*) FROM found, unnest({column}) AS id GROUP BY id) f
                 JOIN {table} c ON c.id = f.id"
            )
        };
        match facet {
            Facet::Category => places("categories", "categories"),
            Facet::Collection => places("collections", "collections"),
            Facet::Tag => format!(
                "SELECT value, NULL::text AS title, count(*), {nothing}
                 FROM found, unnest(tags) AS value GROUP BY value"
            ),
            Facet::Option(name) => {
                let name = self.bind(format!("{name}\u{1f}"), Type::TEXT);
                format!(
                    "SELECT substr(option, length({name}) + 1) AS value, NULL::text AS title,
                         count(*), {nothing}
                     FROM found, unnest(options) AS option WHERE starts_with(option, {name})
                     GROUP BY option"
                )
            }
            Facet::InStock => format!(
                "SELECT {IN_STOCK}::text AS value, NULL::text AS title, count(*), {nothing}
                 FROM found s GROUP BY 1"
            ),
            Facet::Price => {
                let code = listing.currency.map(|currency| currency.to_string());
                let currency = self.bind(code, Type::TEXT);
                format!(
                    "SELECT NULL::text AS value, NULL::text AS title,
                         min(amount) AS count, max(amount)
                     FROM found JOIN product_search_prices p USING (product_id)
                     WHERE p.currency = {currency}"
                )
            }
        }
    }
}
