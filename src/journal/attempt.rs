//! What follows a run of a batch that failed: the journal's state machine. Pure; the lanes of
//! [`super`] carry it out, and so does the simulation.

use super::Form;
use crate::error::{Code, Problem};
use crate::postgres::Class;
use std::fmt;
use std::time::Duration;
use time::OffsetDateTime;

/// A batch that is sent at once begins within this time of PostgreSQL's clock, or does nothing.
pub const BEGINS_WITHIN: Duration = Duration::from_millis(500);

/// What is not known of earlier runs, whose answers were lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// None was lost.
    #[default]
    None,
    /// One was. What it holds, the next run waits for.
    Lost,
    /// One was that had been sent at once. It holds nothing before it begins, which it may do
    /// before this moment of PostgreSQL's clock, so until then a refusal could be overtaken by it.
    Until(OffsetDateTime),
}

impl Doubt {
    /// How long a batch has to wait if it refuses somebody; a clock that went back makes nobody
    /// wait for longer.
    pub fn wait(self, now: OffsetDateTime, refuses: bool) -> Option<Duration> {
        let Self::Until(moment) = self else { return None };
        let left = Duration::try_from(moment - now).ok().filter(|left| !left.is_zero());
        left.filter(|_| refuses).map(|left| left.min(BEGINS_WITHIN))
    }
}

/// How long a batch waits for a lock.
const LOCK_MAX: Duration = Duration::from_secs(2);
/// The same for a part of one that has waited so long, and for the next ones as long as somebody
/// waits: behind them are others, who need not.
const LOCK_MAX_HELD: Duration = Duration::from_millis(250);

/// A batch that is not answered yet.
#[derive(Debug, Clone)]
pub struct Attempt<E> {
    /// Its entries, in the order of their arrival.
    pub batch: Vec<E>,
    /// How it is run next.
    pub form: Form,
    /// How often it was run so far, as it is.
    pub runs: u32,
    /// Whether it, or another one of its lane, has waited for a lock in vain.
    pub is_held: bool,
    /// What will not be known of the run that is on its way, if its answers are lost.
    pub leaves: Doubt,
    /// What is not known of earlier ones.
    pub doubt: Doubt,
}

/// What to do with a batch, or a part of it, after a run that failed.
#[derive(Debug)]
pub enum Next<E> {
    /// Run it again on this connection.
    Again(Attempt<E>),
    /// The same between other batches: somebody else keeps what it needs.
    Later(Attempt<E>),
    /// The outcome may be unknown: run the same again, with the same ids and keys, on another
    /// connection. The unique index waits for the transaction in doubt and then tells.
    Reconnect(Attempt<E>),
    /// It cannot be committed, whatever company it is in.
    Refuse(E),
    /// The same, but an earlier run, whose answer was lost, may have committed it.
    Unknown(E),
}

/// Why an entry cannot be committed; `cause` is for the log.
pub fn refused(class: Class, cause: impl fmt::Display) -> Problem {
    match class {
        Class::Retry => Problem::new(Code::Overloaded, "It met others too often."),
        _ => Problem::internal(cause),
    }
}

impl<E> Attempt<E> {
    /// A batch that was never run.
    pub fn new(batch: Vec<E>, form: Form) -> Self {
        let (leaves, doubt) = (Doubt::Lost, Doubt::None);
        Self { batch, form, runs: 0, is_held: false, leaves, doubt }
    }

    /// What follows a run that failed in this way; the next of several comes last.
    pub fn after(self, class: Class, attempts_max: u32) -> Vec<Next<E>> {
        match class {
            // Exact, because the first run may have taken the keys.
            Class::Lost => {
                let doubt = self.doubt.max(self.leaves);
                vec![Next::Reconnect(Self { doubt, ..self.exact() })]
            }
            Class::Guard if self.form == Form::Optimistic => {
                vec![Next::Again(Self { runs: 0, ..self.exact() })]
            }
            // Nothing is done in between: what a lane did before is known to what it does next.
            Class::Held if self.doubt != Doubt::None => vec![Next::Again(self)],
            Class::Held if self.batch.len() < 2 => vec![Next::Later(self.held())],
            Class::Held => self.held().halved(),
            Class::Guard | Class::Retry if self.runs < attempts_max => vec![Next::Again(self)],
            _ => self.halved(),
        }
    }

    /// The same in the exact form.
    pub fn exact(self) -> Self {
        Self { form: Form::Exact, ..self }
    }

    /// How long its next run waits for a lock.
    pub fn lock_max(&self) -> Duration {
        if self.is_held { LOCK_MAX_HELD } else { LOCK_MAX }
    }

    /// The same after a lock was not to be had.
    fn held(self) -> Self {
        Self { is_held: true, ..self.exact() }
    }

    /// Halves a batch that cannot be committed, until the culprit stands alone.
    fn halved(self) -> Vec<Next<E>> {
        let Self { mut batch, form, is_held, doubt, .. } = self;
        let again = |batch| Next::Again(Self { is_held, doubt, ..Self::new(batch, form) });
        if batch.len() > 1 {
            let later = batch.split_off(batch.len() / 2);
            return [later, batch].map(again).into();
        }
        let end = if doubt == Doubt::None { Next::Refuse } else { Next::Unknown };
        batch.into_iter().map(end).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(entries: u32, form: Form, runs: u32) -> Attempt<u32> {
        Attempt { runs, ..Attempt::new((0..entries).collect(), form) }
    }

    #[test]
    fn a_guard_sends_the_optimistic_form_to_the_exact_one_with_all_its_runs_left() {
        let next = attempt(3, Form::Optimistic, 1).after(Class::Guard, 3);
        let [Next::Again(again)] = &next[..] else { panic!("{next:?}") };
        assert_eq!((again.form, again.runs, again.batch.len()), (Form::Exact, 0, 3));
    }

    #[test]
    fn the_culprit_is_found_by_halves_and_nobody_else_is_refused() {
        let mut open = vec![attempt(7, Form::Exact, 3)];
        let (mut refused, mut committed) = (Vec::new(), Vec::new());
        while let Some(attempt) = open.pop() {
            if !attempt.batch.contains(&5) {
                committed.extend(attempt.batch);
                continue;
            }
            for next in attempt.after(Class::Culprit, 3) {
                match next {
                    Next::Again(attempt) => open.push(attempt),
                    Next::Refuse(entry) => refused.push(entry),
                    next => panic!("nothing was lost or held: {next:?}"),
                }
            }
        }
        assert_eq!((refused, committed), (vec![5], vec![0, 1, 2, 3, 4, 6]));
    }

    #[test]
    fn whoever_waits_for_a_lock_is_found_by_halves_and_the_others_do_not_wait_with_them() {
        let (mut open, mut waited) = (vec![attempt(200, Form::Optimistic, 1)], Duration::ZERO);
        let mut committed = 0;
        let alone = loop {
            let attempt = open.pop().unwrap();
            if !attempt.batch.contains(&5) {
                committed += attempt.batch.len();
                continue;
            }
            if committed == 199 {
                break attempt;
            }
            waited += attempt.lock_max();
            for next in attempt.after(Class::Held, 3) {
                match next {
                    Next::Again(attempt) => open.push(attempt),
                    Next::Later(attempt) => open.insert(0, attempt),
                    next => panic!("{next:?}"),
                }
            }
        };
        assert_eq!((&alone.batch[..], open.len()), (&[5][..], 0));
        assert!(waited < Duration::from_secs(5), "{waited:?}");
        let doubt = Attempt { doubt: Doubt::Lost, ..alone.clone() };
        assert!(
            matches!(alone.after(Class::Held, 3)[..], [Next::Later(_)]),
            "until its deadline"
        );
        assert!(
            matches!(doubt.after(Class::Held, 3)[..], [Next::Again(_)]),
            "nothing in between"
        );
    }

    #[test]
    fn a_refusal_waits_until_what_was_lost_can_begin_no_more() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let doubt = Doubt::Until(now + BEGINS_WITHIN);
        assert_eq!(doubt.wait(now, true), Some(BEGINS_WITHIN));
        assert_eq!(doubt.wait(now, false), None);
        assert_eq!(doubt.wait(now + BEGINS_WITHIN, true), None);
        assert_eq!(doubt.wait(now - Duration::from_secs(3_600), true), Some(BEGINS_WITHIN));
        assert_eq!(Doubt::Lost.wait(now, true), None);
    }

    #[test]
    fn only_a_lost_run_leaves_a_doubt_and_halves_keep_it() {
        let leaves = Doubt::Until(OffsetDateTime::UNIX_EPOCH);
        let run = || Attempt { leaves, ..attempt(2, Form::Optimistic, 1) };
        let [Next::Reconnect(lost)] = &run().after(Class::Lost, 3)[..] else { panic!() };
        assert_eq!(lost.doubt, leaves);
        for next in lost.clone().after(Class::Culprit, 3) {
            let Next::Again(half) = next else { panic!("{next:?}") };
            assert_eq!(half.doubt, leaves);
        }
        let [Next::Again(guarded)] = &run().after(Class::Guard, 3)[..] else { panic!() };
        assert_eq!(guarded.doubt, Doubt::None);
        let again = Attempt { leaves: Doubt::Lost, ..lost.clone() };
        let [Next::Reconnect(again)] = &again.after(Class::Lost, 3)[..] else { panic!() };
        assert_eq!(again.doubt, leaves, "the first run may still begin");
    }

    #[test]
    fn what_may_have_been_committed_is_unknown_and_never_refused() {
        let [Next::Reconnect(lost)] = &attempt(1, Form::Exact, 1).after(Class::Lost, 3)[..]
        else {
            panic!()
        };
        let tired = Attempt { runs: 3, ..lost.clone() };
        assert!(matches!(tired.after(Class::Retry, 3)[..], [Next::Unknown(0)]));
        let culprit = attempt(1, Form::Exact, 1).after(Class::Culprit, 3);
        assert!(matches!(culprit[..], [Next::Refuse(0)]));
    }

    #[test]
    fn after_a_lost_answer_the_same_batch_runs_again_in_the_exact_form() {
        let next = attempt(2, Form::Optimistic, 1).after(Class::Lost, 3);
        let [Next::Reconnect(again)] = &next[..] else { panic!("{next:?}") };
        assert_eq!((again.form, again.runs, &again.batch[..]), (Form::Exact, 1, &[0, 1][..]));
    }
}
