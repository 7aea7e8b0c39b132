//! Versions of a cart that nobody was told of: do changes without an answer explain them?

use crate::basket::{Change, Units};

/// What lies between one known version and the next.
#[derive(Debug, Clone)]
pub struct Gap<'c> {
    /// The version before.
    pub from: i64,
    /// The version after.
    pub to: i64,
    /// The cart before.
    pub before: Units,
    /// The change that was acknowledged with the version after; nobody was told if there is none.
    pub made: Option<&'c Change>,
    /// The cart after.
    pub after: Units,
}

/// Attempts after which the search for an explanation gives up.
const STEPS_MAX: usize = 1_000_000;

impl Gap<'_> {
    /// How many changes must have come before the acknowledged one, without an answer.
    fn missing(&self) -> i64 {
        self.to - self.from - i64::from(self.made.is_some())
    }

    /// Whether there must have been changes without an answer.
    pub fn is_open(&self) -> bool {
        self.missing() > 0
    }

    /// Whether the acknowledged change alone does not lead from one cart to the other.  One that
    /// had nothing to change may be answered with the version that was there.
    pub fn is_wrong(&self) -> bool {
        match self.made {
            Some(made) => {
                made.apply(&self.before).unwrap_or_else(|| self.before.clone()) != self.after
            }
            None => self.before != self.after,
        }
    }
}

/// What is wrong with these gaps, if changes without an answer fill them, each at most once.
pub fn unexplained(gaps: &[Gap], unanswered: &[&Change]) -> Vec<String> {
    let explain = |gaps: &[Gap]| {
        let used = vec![false; unanswered.len()];
        Search { unanswered, used, steps: 0 }.next_gap(gaps)
    };
    let alone = gaps.iter().filter(|gap| !explain(std::slice::from_ref(gap)));
    let mut wrong: Vec<String> = alone.map(|gap| describe(gap, unanswered.len())).collect();
    if wrong.is_empty() && !gaps.is_empty() && !explain(gaps) {
        wrong.push("a change without an answer must have been made more than once".to_owned());
    }
    wrong
}

fn describe(gap: &Gap, unanswered: usize) -> String {
    let Gap { from, to, before, made, after } = gap;
    format!(
        "between version {from} {before:?} and version {to} {after:?}, made by {made:?}, are \
         changes that none of {unanswered} unanswered ones explain"
    )
}

struct Search<'s> {
    unanswered: &'s [&'s Change],
    used: Vec<bool>,
    steps: usize,
}

impl Search<'_> {
    fn next_gap(&mut self, gaps: &[Gap]) -> bool {
        match gaps {
            [] => true,
            [gap, rest @ ..] => {
                let missing = usize::try_from(gap.missing()).unwrap_or(0);
                missing <= self.unanswered.len() && self.fill(gap, &gap.before, missing, rest)
            }
        }
    }

    /// Whether some `missing` changes lead from `units` to the end of the gap, such that those
    /// that are left explain the rest.
    fn fill(&mut self, gap: &Gap, units: &Units, missing: usize, rest: &[Gap]) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            // In doubt for the shop: this is about changes that it may make or not.
            return true;
        }
        if missing == 0 {
            let end = match gap.made {
                Some(made) => made.apply(units),
                None => Some(units.clone()),
            };
            return end.as_ref() == Some(&gap.after) && self.next_gap(rest);
        }
        for n in 0..self.unanswered.len() {
            let next = self.unanswered[n].apply(units).filter(|_| !self.used[n]);
            let Some(next) = next else { continue };
            self.used[n] = true;
            if self.fill(gap, &next, missing - 1, rest) {
                return true;
            }
            self.used[n] = false;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(lines: &[(&str, i64)]) -> Units {
        lines.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect()
    }

    fn add(sku: &str, quantity: i64) -> Change {
        Change::Add(vec![(sku.to_owned(), quantity)])
    }

    fn gap(from: i64, to: i64, before: &[(&str, i64)], after: &[(&str, i64)]) -> Gap<'static> {
        Gap { from, to, before: units(before), made: None, after: units(after) }
    }

    #[test]
    fn unanswered_changes_fill_gaps_each_at_most_once() {
        let (one, two, other) = (add("A", 1), add("A", 2), add("B", 1));
        let all = [&one, &two, &other];
        let first = gap(1, 2, &[("A", 1)], &[("A", 2)]);
        let both = gap(4, 6, &[], &[("A", 2), ("B", 1)]);
        assert_eq!(unexplained(&[first.clone(), both.clone()], &all), [""; 0]);
        let never = gap(4, 6, &[], &[("A", 9)]);
        assert!(unexplained(&[never], &all)[0].starts_with("between version 4 "));
        let twice = unexplained(&[first.clone(), first], &all);
        assert_eq!(twice, ["a change without an answer must have been made more than once"]);
        assert!(unexplained(&[gap(1, 9, &[], &[])], &all)[0].contains("3 unanswered"));
    }
}
