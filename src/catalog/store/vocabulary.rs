//! What a text may mean in this shop: its words looked up and corrected.

use super::super::search::{Attempt, Query, Word, query};
use crate::error::Problem;
use deadpool_postgres::Transaction;
use std::collections::BTreeSet;
use tokio_postgres::types::Type;

/// An unfinished word stands for fewer longer words than these; others are too vague.
const LONGER_MAX: i64 = 1_000;
/// Shorter words are too vague to be unfinished.
const UNFINISHED_CHARS_MIN: i32 = 3;
/// Similar words of the vocabulary that are compared with a misspelt word.
const SIMILAR_MAX: i64 = 40;

/// What a text may mean, one attempt after the other.
pub struct Meanings {
    words: Vec<Word>,
    attempts: std::array::IntoIter<Attempt, { Attempt::ALL.len() }>,
}

impl Meanings {
    /// Of a text that somebody typed.
    pub async fn of(transaction: &Transaction<'_>, text: &str) -> Result<Self, Problem> {
        let mut words = look_up(transaction, text).await?;
        correct(transaction, &mut words, Word::is_misspelt).await?;
        Ok(Self { words, attempts: Attempt::ALL.into_iter() })
    }

    /// What to look for next, if what was looked for before does not exist in this shop.
    pub async fn next(
        &mut self,
        transaction: &Transaction<'_>,
    ) -> Result<Option<Query>, Problem> {
        for attempt in self.attempts.by_ref() {
            if attempt == Attempt::Corrected {
                correct(transaction, &mut self.words, |word| word.near.is_empty()).await?;
            }
            let query = query(&self.words, attempt);
            if query.is_some() {
                return Ok(query);
            }
        }
        Ok(None)
    }
}

async fn look_up(transaction: &Transaction<'_>, text: &str) -> Result<Vec<Word>, Problem> {
    let sql = "WITH words AS (
                   SELECT at, word, lag(word) OVER (ORDER BY at) || word AS joined_before,
                       word || lead(word) OVER (ORDER BY at) AS joined_behind
                   FROM regexp_split_to_table(search_text($1), ' ') WITH ORDINALITY AS t (word, at)
                   WHERE word <> ''
               )
               SELECT word, (ts_lexize('english_stem', word))[1],
                   EXISTS (SELECT FROM search_words v WHERE v.word = w.word),
                   length(word) >= $3 AND (
                       SELECT count(*) BETWEEN 1 AND $2 - 1 FROM (
                           SELECT FROM search_words v
                           WHERE v.word > w.word COLLATE \"C\"
                             AND v.word < w.word || U&'\\+10FFFF' COLLATE \"C\"
                           LIMIT $2) AS read),
                   (SELECT v.word FROM search_words v WHERE v.word = joined_before LIMIT 1),
                   (SELECT v.word FROM search_words v WHERE v.word = joined_behind LIMIT 1)
               FROM words w ORDER BY at";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
        [(&text, Type::TEXT), (&LONGER_MAX, Type::INT8), (&UNFINISHED_CHARS_MIN, Type::INT4)];
    let rows = transaction.query_typed(sql, &parameters).await?;
    let word = |row: &tokio_postgres::Row| Word {
        text: row.get(0),
        stem: row.get(1),
        is_known: row.get(2),
        is_begun: row.get(3),
        joined_before: row.get(4),
        joined_behind: row.get(5),
        ..Word::default()
    };
    Ok(rows.iter().map(word).collect())
}

/// Looks for words near to those that are meant.
async fn correct(
    transaction: &Transaction<'_>,
    words: &mut [Word],
    is_meant: impl Fn(&Word) -> bool,
) -> Result<(), Problem> {
    let sql = "SELECT word FROM search_words WHERE word = ANY ($1)
               UNION
               SELECT * FROM (
                   SELECT word FROM search_words
                   WHERE word ~ '^[^0-9]{4,}$' AND word % $2
                   ORDER BY similarity(word, $2) DESC, word LIMIT $3) AS alike";
    for word in words.iter_mut().filter(|word| is_meant(word)) {
        let spellings: Vec<String> = word.spellings().into_iter().collect();
        if spellings.is_empty() {
            continue;
        }
        let rows = transaction
            .query_typed(
                sql,
                &[
                    (&spellings, Type::TEXT_ARRAY),
                    (&word.text, Type::TEXT),
                    (&SIMILAR_MAX, Type::INT8),
                ],
            )
            .await?;
        let candidates: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        word.correct(&candidates);
    }
    Ok(())
}

/// Whether the shop has any product like it, whatever the filters.
pub async fn finds_any(transaction: &Transaction<'_>, query: &Query) -> Result<bool, Problem> {
    let sql = "SELECT EXISTS (SELECT FROM product_search
                   WHERE is_shown AND document @@ $1::text::tsquery)";
    let row = transaction.query_typed_one(sql, &[(&query.matches, Type::TEXT)]).await?;
    Ok(row.get(0))
}
