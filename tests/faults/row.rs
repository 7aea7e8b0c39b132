//! What a fault test says in the end: a row of the table of faults (`scripts/chaos-table.sh`).

use crate::harness::Database;
use loadtests::record::{Answer, Run};
use loadtests::type_id;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

/// What was counted of a fault.
#[derive(Debug, Default)]
pub struct Row {
    /// How often it struck while an order was under way, of how often it struck in all.
    pub strikes: (usize, usize),
    /// Who wanted to buy.
    pub buyers: usize,
    /// What has reached an instance or may have, before everybody asked once more.
    pub requests: u64,
    /// Buyers who have an order.
    pub acknowledged: u64,
    /// Buyers who have none, and know why.
    pub refused: u64,
    /// Buyers who were told that nothing was begun, and did not come again.
    pub turned_away: usize,
    /// Buyers who do not know, and did not come again.
    pub in_doubt: usize,
    /// Buyers an attempt of whom had no answer, or one that leaves it open.
    pub left_open: usize,
    /// Orders of attempts that nobody had answered.
    pub unanswered: usize,
    /// Orders under way when it struck, at all strikes together.
    pub under_way: usize,
    /// Buyers who do not know after everybody asked once more.
    pub unknown_in_the_end: u64,
    /// Nothing, or the test fails.
    pub wrongs: Wrongs,
    /// Answers to shoppers, compared with what they had seen before; `None` without shoppers.
    pub looks: Option<usize>,
    /// See [`crate::strikes::Strikes::back_after`].
    pub back_after: Option<Duration>,
    /// The longest time without an acknowledgement.
    pub silence: Duration,
    /// The longest from wanting to buy to the acknowledgement.
    pub wait: Duration,
}

/// What may never be.
#[derive(Debug, Default)]
pub struct Wrongs {
    /// Acknowledged orders that are not there.
    pub lost: i64,
    /// Orders of a buyer beyond the first.
    pub doubled: i64,
    /// Units sold beyond those supplied.
    pub oversold: i64,
}

impl Wrongs {
    /// What is wrong with a sale by its orders alone, counted in SQL beside the oracle.
    pub async fn of(run: &Run, name: &str, database: &Database) -> Self {
        let answers = run.records.iter().flat_map(|record| &record.answers);
        let acknowledged: BTreeSet<Uuid> =
            answers.filter(|one| one.acknowledges()).map(order_in).collect();
        let acknowledged: Vec<Uuid> = acknowledged.into_iter().collect();
        let lost = "SELECT count(*) FROM unnest($1::uuid[]) AS told (id)
            WHERE NOT EXISTS (SELECT FROM orders WHERE orders.id = told.id)";
        let doubled = "SELECT count(*) - count(DISTINCT email) FROM orders
            WHERE email LIKE '%@' || $1::text || '.example'";
        let oversold = "SELECT coalesce(sum(greatest(sold - units, 0)), 0)::bigint
            FROM unnest($1::text[], $2::bigint[]) AS supplied (sku, units),
                LATERAL (SELECT sum(quantity) AS sold FROM order_lines l
                    JOIN orders o ON o.id = l.order_id
                    WHERE l.sku = supplied.sku AND o.status NOT IN ('cancelled', 'expired')) AS l";
        let (skus, units): (Vec<&String>, Vec<i64>) = run.supplied.iter().unzip();
        Self {
            lost: database.number_for(lost, &[&acknowledged]).await,
            doubled: database.number_for(doubled, &[&name]).await,
            oversold: database.number_for(oversold, &[&skus, &units]).await,
        }
    }

    /// As it must be.
    pub fn is_nothing(&self) -> bool {
        (self.lost, self.doubled, self.oversold) == (0, 0, 0)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { buyers, requests, acknowledged, refused, turned_away, in_doubt, .. } = self;
        let Self { left_open, unanswered, under_way, unknown_in_the_end, .. } = self;
        let Wrongs { lost, doubled, oversold } = self.wrongs;
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let or_none = |cell: Option<String>| cell.unwrap_or_else(|| "–".to_owned());
        let looks = or_none(self.looks.map(|looks| looks.to_string()));
        let back_after = or_none(self.back_after.map(seconds));
        let (silence, wait) = (seconds(self.silence), seconds(self.wait));
        match self.strikes {
            (met, all) if met == all => write!(f, "| {met} ")?,
            (met, all) => write!(f, "| {met} of {all} ")?,
        }
        write!(f, "| {buyers} | {requests} | {acknowledged} | {refused} | {turned_away} ")?;
        write!(f, "| {in_doubt} | {left_open} | {unanswered} | {under_way} ")?;
        write!(f, "| {unknown_in_the_end} | {lost} | {doubled} | {oversold} | {looks} ")?;
        write!(f, "| {back_after} | {silence} | {wait} |")
    }
}

/// The order that an acknowledgement is of.
fn order_in(answer: &Answer) -> Uuid {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    type_id::decode("ord", body["id"].as_str().unwrap()).unwrap()
}
