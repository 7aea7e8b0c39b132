//! The SQL of lists and searches: which products, in which order. `vocabulary.rs` finds out what
//! a text means, `facets.rs` counts.
//!
//! Statements are planned for their values each time, because a plan that is good for a rare word
//! is bad for a common one. Everything reads one snapshot.

use super::super::listing::{Address, Filter, Found, Listing, Sort, SortValue};
use super::super::search::Query;
use super::facets;
use super::vocabulary::{self, Meanings};
use crate::error::Problem;
use crate::id::ProductId;
use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// Products that a search ranks, at most. Products with that title are always among them, then
/// come those with the words in their titles; which of too many is not defined.
pub const RANKED_MAX: i64 = 1_000;

/// What a list may cost. Compiling a statement takes longer than running it, and no plan for a
/// page reads whole tables.
const LIMITS: &str = "SET LOCAL statement_timeout = '2s'; SET LOCAL jit = off;
    SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0";

/// Words are found by their index alone: in the order of another one, a search for what is nowhere
/// would read everything.
const BY_WORDS: &str = "SET LOCAL enable_indexscan = off";

/// In another order than relevance, a page of a common word is found best in that order.
const BY_ANY_INDEX: &str = "SET LOCAL enable_indexscan = on";

/// Finds the products of a page, and counts the facets.
pub async fn find(transaction: &Transaction<'_>, listing: &Listing) -> Result<Found, Problem> {
    transaction.batch_execute(LIMITS).await?;
    let Some(mut matching) = Matching::of(transaction, &listing.filter).await? else {
        return Ok(nothing(listing));
    };
    let mut found = match &listing.filter.words {
        None => matching.page(transaction, listing).await?,
        Some(words) => {
            let meanings = Meanings::of(transaction, words).await?;
            match matching.page_of(meanings, transaction, listing).await? {
                Some(found) => found,
                None => return Ok(nothing(listing)),
            }
        }
    };
    if !listing.facets.is_empty() {
        found.facets = Some(facets::count(transaction, listing, &matching).await?);
    }
    Ok(found)
}

fn nothing(listing: &Listing) -> Found {
    let facets = (!listing.facets.is_empty()).then(|| facets::none(listing));
    Found { ids: Vec::new(), next_cursor: None, facets }
}

/// A filter with everything looked up that it names.
pub struct Matching {
    query: Option<Query>,
    category: Option<Uuid>,
    collection: Option<Uuid>,
}

impl Matching {
    /// None if nothing can match.
    async fn of(transaction: &Transaction<'_>, filter: &Filter) -> Result<Option<Self>, Problem> {
        let (mut category, mut collection) = (None, None);
        if let Some(address) = &filter.category {
            category = match address {
                Address::Id(id) => Some(id.uuid()),
                Address::Slug(slug) => id_of(transaction, "categories", slug).await?,
            };
            if category.is_none() {
                return Ok(None);
            }
        }
        if let Some(address) = &filter.collection {
            collection = match address {
                Address::Id(id) => Some(id.uuid()),
                Address::Slug(slug) => id_of(transaction, "collections", slug).await?,
            };
            if collection.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(Self { query: None, category, collection }))
    }

    /// The page of the first meaning that the shop has any product for, whatever the filters;
    /// none if there is no such meaning.
    async fn page_of(
        &mut self,
        mut meanings: Meanings,
        transaction: &Transaction<'_>,
        listing: &Listing,
    ) -> Result<Option<Found>, Problem> {
        transaction.batch_execute(BY_WORDS).await?;
        while let Some(query) = meanings.next(transaction).await? {
            self.query = Some(query.clone());
            if listing.sort != Sort::Relevance && self.is_common(transaction, listing).await? {
                transaction.batch_execute(BY_ANY_INDEX).await?;
            }
            let found = self.page(transaction, listing).await?;
            // Most searches find something, and need not be asked twice.
            if !found.ids.is_empty() || vocabulary::finds_any(transaction, &query).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether so many products match that their order should lead, not their words. Counted,
    /// because PostgreSQL can only guess how many words begin with another.
    async fn is_common(
        &self,
        transaction: &Transaction<'_>,
        listing: &Listing,
    ) -> Result<bool, Problem> {
        let mut statement = Statement::default();
        let matches = statement.matching(self, listing);
        statement.sql = format!(
            "SELECT count(*) FROM (SELECT FROM {matches} LIMIT {RANKED_MAX}) AS matching"
        );
        let rows = statement.query(transaction).await?;
        Ok(rows.first().is_some_and(|row| row.get::<_, i64>(0) >= RANKED_MAX))
    }

    async fn page(
        &self,
        transaction: &Transaction<'_>,
        listing: &Listing,
    ) -> Result<Found, Problem> {
        let mut statement = Statement::default();
        match (listing.sort, &self.query) {
            (Sort::Relevance, Some(query)) => statement.rank(self, query, listing),
            _ => statement.sort(self, listing),
        }
        let rows = statement.query(transaction).await?;
        let limit = listing.limit as usize;
        let last = (rows.len() > limit).then(|| rows.get(limit - 1)).flatten();
        let next_cursor =
            last.map(|row| listing.cursor(sort_value(listing.sort, row), row.get(0)));
        let ids = rows.iter().take(limit).map(|row| ProductId::from(row.get::<_, Uuid>(0)));
        Ok(Found { ids: ids.collect(), next_cursor, facets: None })
    }
}

async fn id_of(
    transaction: &Transaction<'_>,
    table: &str,
    slug: &str,
) -> Result<Option<Uuid>, Problem> {
    let sql = format!("SELECT id FROM {table} WHERE slug = $1");
    let row = transaction.query_typed_opt(&sql, &[(&slug, Type::TEXT)]).await?;
    Ok(row.map(|row| row.get(0)))
}

fn sort_value(sort: Sort, row: &Row) -> SortValue {
    match sort {
        Sort::Newest | Sort::Oldest => SortValue::Id,
        Sort::Price | Sort::PriceDown => SortValue::Price(row.get(1)),
        Sort::Title | Sort::TitleDown => SortValue::Title(row.get(1)),
        Sort::Relevance => SortValue::Relevance(row.get(1), row.get(2)),
    }
}

/// A statement that is being written, with its parameters.
#[derive(Default)]
pub struct Statement {
    /// The text.
    pub sql: String,
    parameters: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Statement {
    /// Adds a parameter and returns its name.
    pub fn bind(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> String {
        self.parameters.push((Box::new(value), kind));
        format!("${}", self.parameters.len())
    }

    /// Runs it, planned for its parameters.
    pub async fn query(&self, transaction: &Transaction<'_>) -> Result<Vec<Row>, Problem> {
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> = self
            .parameters
            .iter()
            .map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone()))
            .collect();
        Ok(transaction.query_typed(&self.sql, &parameters).await?)
    }

    /// From where and under which conditions all products match, `s` being the product.
    pub fn matching(&mut self, matching: &Matching, listing: &Listing) -> String {
        self.matching_in("document", matching, listing)
    }

    /// The same, with the words in this column: a title's words are in the document, too.
    fn matching_in(&mut self, words: &str, matching: &Matching, listing: &Listing) -> String {
        let filter = &listing.filter;
        let mut conditions = vec!["s.is_shown".to_owned()];
        if let Some(query) = &matching.query {
            let matches = self.bind(query.matches.clone(), Type::TEXT);
            conditions.push(format!("s.{words} @@ {matches}::text::tsquery"));
        }
        let places = [("categories", matching.category), ("collections", matching.collection)];
        for (column, id) in places {
            let Some(id) = id else { continue };
            let ids = self.bind(vec![id], Type::UUID_ARRAY);
            conditions.push(format!("s.{column} @> {ids}"));
        }
        if !filter.tags.is_empty() {
            let tags: Vec<String> = filter.tags.iter().cloned().collect();
            let tags = self.bind(tags, Type::TEXT_ARRAY);
            conditions.push(format!("s.tags @> {tags}"));
        }
        for (name, values) in &filter.options {
            let values: Vec<String> =
                values.iter().map(|value| format!("{name}\u{1f}{value}")).collect();
            let values = self.bind(values, Type::TEXT_ARRAY);
            conditions.push(format!("s.options && {values}"));
        }
        if let Some(in_stock) = filter.in_stock {
            conditions.push(format!("{IN_STOCK} = {in_stock}"));
        }
        let mut from = "product_search s";
        let has_bounds = filter.price_min.is_some() || filter.price_max.is_some();
        let is_priced = has_bounds || listing.sort.is_by_price();
        let mut amount = "p.amount".to_owned();
        if let Some(currency) = listing.currency.filter(|_| is_priced) {
            let currency = self.bind(currency.as_str().to_owned(), Type::TEXT);
            if matching.query.is_some() && !listing.sort.is_by_price() {
                // Words are rarer than prices: a join might begin at the prices.
                amount = format!(
                    "(SELECT p.amount FROM product_search_prices p
                      WHERE p.product_id = s.product_id AND p.currency = {currency})"
                );
            } else {
                from = "product_search s JOIN product_search_prices p USING (product_id)";
                conditions.push(format!("p.currency = {currency}"));
            }
        }
        for (bound, sign) in [(filter.price_min, ">="), (filter.price_max, "<=")] {
            let Some(bound) = bound else { continue };
            let bound = self.bind(bound, Type::INT8);
            conditions.push(format!("{amount} {sign} {bound}"));
        }
        format!("{from} WHERE {}", conditions.join(" AND "))
    }

    /// A page in the order of an index.
    fn sort(&mut self, matching: &Matching, listing: &Listing) {
        let (value, kind) = match listing.sort {
            Sort::Price | Sort::PriceDown => ("p.amount", Type::INT8),
            Sort::Title | Sort::TitleDown => ("s.title", Type::TEXT),
            Sort::Newest | Sort::Oldest | Sort::Relevance => ("NULL::text", Type::TEXT),
        };
        let by_price = listing.sort.is_by_price();
        let id = if by_price { "p.product_id" } else { "s.product_id" };
        let mut matches = self.matching(matching, listing);
        let (sign, direction) =
            if listing.sort.is_descending() { ("<", "DESC") } else { (">", "ASC") };
        let has_value = value != "NULL::text";
        if let Some(after) = &listing.after {
            let last_id = self.bind(after.id, Type::UUID);
            let last = match &after.value {
                SortValue::Price(amount) => Some(self.bind(*amount, kind)),
                SortValue::Title(title) => Some(self.bind(title.clone(), kind)),
                SortValue::Id | SortValue::Relevance(..) => None,
            };
            let beyond = match last {
                Some(last) => format!(" AND ({value}, {id}) {sign} ({last}, {last_id})"),
                None => format!(" AND {id} {sign} {last_id}"),
            };
            matches.push_str(&beyond);
        }
        let by_value = if has_value { format!("{value} {direction}, ") } else { String::new() };
        let limit = i64::from(listing.limit) + 1;
        self.sql = format!(
            "SELECT s.product_id, {value} FROM {matches}
             ORDER BY {by_value}{id} {direction} LIMIT {limit}"
        );
    }

    /// A page of the best matches. 1 + the sum over the words: in the title as typed 0, as a
    /// longer word 1, corrected 3; in SKUs, tags, categories and options 10; elsewhere 20;
    /// nowhere 1,000. A title that is exactly the text: 0.
    fn rank(&mut self, matching: &Matching, query: &Query, listing: &Listing) {
        let matches = self.matching(matching, listing);
        let text = self.bind(query.text.clone(), Type::TEXT);
        let titled = self.matching_in("title_words", matching, listing);
        let terms = |pick: fn(&super::super::search::Term) -> &String| -> Vec<String> {
            query.terms.iter().map(|term| pick(term).clone()).collect()
        };
        let exact = self.bind(terms(|term| &term.exact), Type::TEXT_ARRAY);
        let longer = self.bind(terms(|term| &term.longer), Type::TEXT_ARRAY);
        let near = self.bind(terms(|term| &term.near), Type::TEXT_ARRAY);
        let after = match &listing.after {
            Some(after) => {
                let SortValue::Relevance(rank, length) = after.value else { return };
                let rank = self.bind(rank, Type::INT8);
                let length = self.bind(length, Type::INT4);
                let id = self.bind(after.id, Type::UUID);
                format!("WHERE (rank, length, product_id) > ({rank}, {length}, {id})")
            }
            None => String::new(),
        };
        let limit = i64::from(listing.limit) + 1;
        self.sql = format!(
            "WITH terms AS MATERIALIZED (
                 SELECT exact::tsquery, longer::tsquery, near::tsquery
                 FROM unnest({exact}, {longer}, {near}) AS t (exact, longer, near)
             ), same AS MATERIALIZED (
                 SELECT s.product_id FROM {matches} AND s.title = {text} LIMIT {RANKED_MAX}
             ), titled AS MATERIALIZED (
                 SELECT s.product_id FROM {titled} LIMIT {RANKED_MAX}
             ), others AS MATERIALIZED (
                 SELECT s.product_id FROM {matches}
                 LIMIT greatest(0, {RANKED_MAX} - (SELECT count(*) FROM titled))
             ), ranked AS (
                 SELECT s.product_id, length(s.title) AS length,
                     CASE WHEN s.title = {text} THEN 0 ELSE (
                         SELECT 1 + sum(CASE
                             WHEN s.title_words @@ exact THEN 0
                             WHEN s.title_words @@ longer THEN 1
                             WHEN s.title_words @@ near THEN 3
                             WHEN ts_filter(s.document, '{{b,c}}') @@ near THEN 10
                             WHEN s.document @@ near THEN 20
                             ELSE 1000 END)
                         FROM terms) END AS rank
                 FROM (SELECT product_id FROM same UNION SELECT product_id FROM titled
                       UNION SELECT product_id FROM others) c
                 JOIN product_search s USING (product_id)
             )
             SELECT product_id, rank::bigint, length FROM ranked {after}
             ORDER BY rank, length, product_id LIMIT {limit}"
        );
    }
}

/// Whether any variant of the product `s` is there.
pub const IN_STOCK: &str = "(SELECT coalesce(sum(t.available), 0) > 0
    FROM variants v JOIN stock t ON t.variant_id = v.id
    WHERE v.product_id = s.product_id AND v.archived_at IS NULL)";
