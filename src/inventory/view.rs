//! The view: what this instance last saw of the stock, and what may be concluded from it.
//!
//! It may say "sold out" only on counts read from PostgreSQL a moment ago. It never says yes:
//! that is for the commit.

use super::stock::StockKey;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What an order wants of one stock row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The row.
    pub key: StockKey,
    /// Units.
    pub quantity: i64,
}

/// A view's answer that is no refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// The commit decides; for each want, what was last seen to be available.
    Go(Vec<Option<i64>>),
    /// Fresh counts say that at least one want cannot be met; for each, what is available.
    SoldOut(Vec<i64>),
}

/// What the view can say at once.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not before the commit, or on fresh counts.
    Passed(Passed),
    /// It looks short, but these rows were not read recently enough to say so.
    Look(Vec<StockKey>),
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    available: i64,
    at: Instant,
}

/// The last seen counts by row.
#[derive(Debug)]
pub struct View {
    seen: HashMap<StockKey, Seen>,
    fresh: Duration,
    rows_max: usize,
}

impl View {
    /// Counts are conclusive for `fresh`; at most about `rows_max` rows are remembered.
    pub fn new(fresh: Duration, rows_max: usize) -> Self {
        Self { seen: HashMap::new(), fresh, rows_max }
    }

    /// A count that was true in PostgreSQL at `at` or later.
    pub fn observe(&mut self, key: StockKey, available: i64, at: Instant) {
        if self.seen.len() >= self.rows_max && !self.seen.contains_key(&key) {
            let fresh = self.fresh;
            self.seen.retain(|_, seen| at.saturating_duration_since(seen.at) <= fresh);
            if self.seen.len() >= self.rows_max {
                return;
            }
        }
        let seen = self.seen.entry(key).or_insert(Seen { available, at });
        if at >= seen.at {
            *seen = Seen { available, at };
        } else if available > seen.available {
            // An older count with more in stock: one of the two is a release that the other did
            // not see, so nothing can be said until it is read again.
            self.seen.remove(&key);
        }
    }

    /// What can be said of an order now. Rows never seen go to the commit.
    pub fn judge(&self, wants: &[Want], now: Instant) -> Verdict {
        let seen: Vec<Option<Seen>> =
            wants.iter().map(|want| self.seen.get(&want.key).copied()).collect();
        let looks_short = wants
            .iter()
            .zip(&seen)
            .any(|(want, seen)| seen.is_some_and(|seen| seen.available < want.quantity));
        if !looks_short {
            let available = seen.iter().map(|seen| seen.map(|seen| seen.available));
            return Verdict::Passed(Passed::Go(available.collect()));
        }
        let is_fresh = |seen: &Option<Seen>| {
            seen.filter(|seen| now.saturating_duration_since(seen.at) <= self.fresh)
        };
        let fresh: Vec<i64> =
            seen.iter().filter_map(is_fresh).map(|seen| seen.available).collect();
        if fresh.len() == wants.len() {
            return Verdict::Passed(Passed::SoldOut(fresh));
        }
        let stale = wants.iter().zip(&seen).filter(|(_, seen)| is_fresh(seen).is_none());
        Verdict::Look(stale.map(|(want, _)| want.key).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VariantId;

    const FRESH: Duration = Duration::from_millis(500);

    fn want(quantity: i64) -> Want {
        Want { key: StockKey::of(VariantId::new()), quantity }
    }

    #[test]
    fn a_row_never_seen_is_left_to_the_commit() {
        let view = View::new(FRESH, 10);
        let verdict = view.judge(&[want(1)], Instant::now());
        assert_eq!(verdict, Verdict::Passed(Passed::Go(vec![None])));
    }

    #[test]
    fn sold_out_is_said_only_on_fresh_counts() {
        let (mut view, want, now) = (View::new(FRESH, 10), want(5), Instant::now());
        view.observe(want.key, 4, now);
        let said = |at| view.judge(&[want], at);
        assert_eq!(said(now + FRESH), Verdict::Passed(Passed::SoldOut(vec![4])));
        let late = now + FRESH + Duration::from_millis(1);
        assert_eq!(said(late), Verdict::Look(vec![want.key]));
    }

    #[test]
    fn an_order_is_refused_with_the_fresh_counts_of_all_its_lines() {
        let (mut view, now) = (View::new(FRESH, 10), Instant::now());
        let (short, unknown) = (want(5), want(1));
        view.observe(short.key, 0, now);
        assert_eq!(view.judge(&[short, unknown], now), Verdict::Look(vec![unknown.key]));
        view.observe(unknown.key, 9, now);
        let verdict = view.judge(&[short, unknown], now);
        assert_eq!(verdict, Verdict::Passed(Passed::SoldOut(vec![0, 9])));
    }

    #[test]
    fn an_older_count_does_not_replace_a_newer_one() {
        let (mut view, want, now) = (View::new(FRESH, 10), want(1), Instant::now());
        view.observe(want.key, 7, now + Duration::from_millis(5));
        view.observe(want.key, 0, now);
        assert_eq!(view.judge(&[want], now), Verdict::Passed(Passed::Go(vec![Some(7)])));
    }

    #[test]
    fn an_older_count_with_more_in_stock_leaves_the_row_to_the_commit() {
        let (mut view, want, now) = (View::new(FRESH, 10), want(1), Instant::now());
        view.observe(want.key, 0, now + Duration::from_millis(5));
        view.observe(want.key, 1, now);
        assert_eq!(view.judge(&[want], now), Verdict::Passed(Passed::Go(vec![None])));
    }

    #[test]
    fn the_view_forgets_stale_rows_when_it_is_full_and_never_grows_beyond() {
        let (mut view, now) = (View::new(FRESH, 2), Instant::now());
        let wants: Vec<Want> = (0..3).map(|_| want(1)).collect();
        view.observe(wants[0].key, 1, now);
        view.observe(wants[1].key, 1, now + FRESH);
        view.observe(wants[2].key, 1, now + FRESH * 2);
        assert_eq!(view.seen.len(), 2);
        assert!(!view.seen.contains_key(&wants[0].key));
    }
}
