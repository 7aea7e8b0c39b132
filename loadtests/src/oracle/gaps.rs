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
    /// The changes that were acknowledged with the version after, one of which may have made it;
    /// nobody was told of it if there is none.
    pub made: Vec<&'c Change>,
    /// The cart after.
    pub after: Units,
}

/// Attempts after which the search for an explanation gives up.
const STEPS_MAX: usize = 1_000_000;

impl<'c> Gap<'c> {
    /// How many changes without an answer must lie in it, and which one came last: the one that
    /// was acknowledged, unless that found nothing left to change.
    fn ways(&self) -> Vec<(usize, Option<&'c Change>)> {
        let missing = self.to - self.from;
        let is_idle = |made: &&Change| made.apply(&self.after).is_none_or(|it| it == self.after);
        let mut ways: Vec<_> = self.made.iter().map(|made| (missing - 1, Some(*made))).collect();
        if self.made.iter().all(is_idle) {
            ways.push((missing, None));
        }
        let possible = |(missing, last)| Some((usize::try_from(missing).ok()?, last));
        ways.into_iter().filter_map(possible).collect()
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
    let made: String = made.iter().map(|made| format!(" with {made:?}")).collect();
    format!(
        "from version {from} {before:?} to version {to} {after:?}{made}: not explained, nor by \
         {unanswered} changes without an answer"
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
            [gap, rest @ ..] => gap.ways().into_iter().any(|(missing, last)| {
                missing <= self.unanswered.len()
                    && self.fill((gap, last), &gap.before, missing, rest)
            }),
        }
    }

    /// Whether some `missing` changes and the last one lead from `units` to the end of the gap,
    /// such that those that are left explain the rest.
    fn fill(
        &mut self,
        way: (&Gap, Option<&Change>),
        units: &Units,
        missing: usize,
        rest: &[Gap],
    ) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            // In doubt for the shop: this is about changes that it may make or not.
            return true;
        }
        let (gap, last) = way;
        if missing == 0 {
            let end = last.map_or_else(|| Some(units.clone()), |last| last.apply(units));
            return end.as_ref() == Some(&gap.after) && self.next_gap(rest);
        }
        for n in 0..self.unanswered.len() {
            let next = self.unanswered[n].apply(units).filter(|_| !self.used[n]);
            let Some(next) = next else { continue };
            self.used[n] = true;
            if self.fill(way, &next, missing - 1, rest) {
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
        Gap { from, to, before: units(before), made: Vec::new(), after: units(after) }
    }

    #[test]
    fn unanswered_changes_fill_gaps_each_at_most_once() {
        let (one, two, other) = (add("A", 1), add("A", 2), add("B", 1));
        let all = [&one, &two, &other];
        let first = gap(1, 2, &[("A", 1)], &[("A", 2)]);
        let both = gap(4, 6, &[], &[("A", 2), ("B", 1)]);
        assert_eq!(unexplained(&[first.clone(), both.clone()], &all), [""; 0]);
        let never = gap(4, 6, &[], &[("A", 9)]);
        assert!(unexplained(&[never], &all)[0].starts_with("from version 4 "));
        let twice = unexplained(&[first.clone(), first], &all);
        assert_eq!(twice, ["a change without an answer must have been made more than once"]);
        assert!(unexplained(&[gap(1, 9, &[], &[])], &all)[0].contains("by 3 changes"));
    }

    #[test]
    fn of_changes_with_one_version_any_may_have_made_it() {
        let idle = Change::Set { line: "line_1".to_owned(), sku: "B".to_owned(), quantity: 5 };
        let removal = Change::Remove { line: "line_2".to_owned(), sku: "A".to_owned() };
        let lost = add("C", 2);
        let gap = |made| Gap { made, ..gap(1, 3, &[("A", 1), ("B", 5)], &[("B", 5), ("C", 2)]) };
        assert_eq!(unexplained(&[gap(vec![&idle, &removal])], &[&lost]), [""; 0]);
        assert_eq!(unexplained(&[gap(vec![&idle])], &[&lost]).len(), 1);
    }
}
