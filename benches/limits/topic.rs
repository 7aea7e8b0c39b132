//! What can be measured, by the words of the command line.

use super::commits;
use super::server::Journal;
use super::table::{Costs, Plain, Table};
use super::traffic::{Goods, Load};
use super::{Row, Sample};
use anyhow::{Context, bail};

/// Connections of the rows that are compared with the limits.
const CONNECTIONS: &[usize] = &[64, 256, 1024];

/// Connections of the rows that ask for costs.
const COSTS_CONNECTIONS: usize = 256;

/// Orders a second, of the rows that are not as fast as they can be.
const RATES: [u32; 6] = [500, 1_000, 2_000, 3_000, 4_000, 5_000];

/// A question.
pub struct Topic {
    about: About,
    /// Only rows whose names hold this word.
    only: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// Express orders and sold-out refusals, beside their limits.
    Orders,
    /// Changes of carts, beside theirs.
    Carts,
    /// Orders of 1 to 1,106 lines.
    Lines,
    /// 1 to 10,000 connections.
    Connections,
    /// What one request of a kind asks of whom, with Redis.
    Costs,
    /// What an order costs when fewer come than could.
    Rates,
    /// A database that fills with so many orders.
    Growth(u64),
}

/// How a topic is measured.
pub enum Measurement {
    /// Row by row.
    Rows(Vec<Row>),
    /// With so many orders.
    Growth(u64),
}

/// The topics that these words ask for.
pub fn wanted(words: &[String]) -> anyhow::Result<Vec<Topic>> {
    let topic = |about| Topic { about, only: None };
    if words.is_empty() {
        return Ok(vec![topic(About::Orders), topic(About::Carts)]);
    }
    let read = |word: &String| {
        let (name, detail) = match word.split_once('=') {
            Some((name, detail)) => (name, Some(detail.to_owned())),
            None => (word.as_str(), None),
        };
        let about = match name {
            "orders" => About::Orders,
            "carts" => About::Carts,
            "lines" => About::Lines,
            "connections" => About::Connections,
            "costs" => About::Costs,
            "rates" => About::Rates,
            "growth" => {
                let orders = detail.as_deref().and_then(|detail| detail.parse().ok());
                return Ok(topic(About::Growth(orders.context("growth=ORDERS")?)));
            }
            _ => bail!(
                "{name}: none of orders, carts, lines, connections, costs, rates, growth=ORDERS"
            ),
        };
        Ok(Topic { about, only: detail })
    };
    words.iter().map(read).collect()
}

impl Topic {
    /// What there is to do.
    pub fn measurement(&self) -> Measurement {
        let rows = match self.about {
            About::Orders => orders(),
            About::Carts => {
                let commits = commits::carts().into_iter().map(Row::Commit);
                let requests = [Journal::Presumed, Journal::Real].into_iter();
                commits.chain(requests.flat_map(|j| at(j, Goods::Carts, CONNECTIONS))).collect()
            }
            About::Lines => {
                let lines = [1, 4, 16, 200, 1106].into_iter();
                lines.flat_map(|n| at(Journal::Real, Goods::Lines(n), &[64])).collect()
            }
            About::Connections => {
                let counts = &[1, 16, 64, 256, 1024, 4096, 10_000];
                at(Journal::Real, Goods::Spread, counts).collect()
            }
            About::Costs => {
                let goods = [Goods::Spread, Goods::Paid, Goods::Carts, Goods::Product];
                let load = Load::Connections(COSTS_CONNECTIONS);
                goods.map(|goods| Row::Costs(goods, load)).into()
            }
            About::Rates => RATES.map(|rate| Row::Costs(Goods::Spread, Load::Rate(rate))).into(),
            About::Growth(orders) => return Measurement::Growth(orders),
        };
        let is_wanted = |row: &Row| {
            self.only.as_ref().is_none_or(|word| row.to_string().contains(word.as_str()))
        };
        Measurement::Rows(rows.into_iter().filter(is_wanted).collect())
    }

    /// Shows what was measured.
    pub fn print(&self, rows: &[(Row, Sample)]) {
        match (self.about, &self.only) {
            (_, Some(_)) => {}
            (About::Orders, None) => println!("{}", Table::of_orders(rows)),
            (About::Carts, None) => println!("{}", Table::of_carts(rows)),
            (About::Costs | About::Rates, None) => println!("{}", Costs(rows)),
            (_, None) => println!("{}", Plain(rows)),
        }
    }
}

fn orders() -> Vec<Row> {
    let mut rows: Vec<Row> = commits::orders().into_iter().map(Row::Commit).collect();
    rows.extend(at(Journal::Presumed, Goods::Spread, CONNECTIONS));
    rows.extend(at(Journal::Real, Goods::Spread, CONNECTIONS));
    rows.extend(at(Journal::Real, Goods::Hot, CONNECTIONS));
    rows.extend(at(Journal::Real, Goods::SoldOut, &CONNECTIONS[..2]));
    rows
}

fn at(journal: Journal, goods: Goods, counts: &[usize]) -> impl Iterator<Item = Row> {
    counts.iter().map(move |&connections| Row::Requests { journal, goods, connections })
}
