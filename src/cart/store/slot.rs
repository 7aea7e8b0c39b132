//! What a cart remembers of the changes that were made to it, so that none is made twice.

use crate::journal::Doubt;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long the changes of a lane are remembered: longer than any entry may be run again.
const APPLIED_MAX: Duration = Duration::minutes(10);

/// So many lanes that changed a cart last are remembered however old they seem: the clock is that
/// of another server after a failover.
const KEPT_MIN: usize = 4;

/// The changes that a lane made to a cart last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// The lane.
    pub lane: Uuid,
    /// When, by PostgreSQL's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Their ids.
    pub changes: Vec<Uuid>,
}

impl Slot {
    /// The slots of a cart once this is its lane's. A run of a batch keeps what an earlier one has
    /// changed, if that may have been committed.
    pub fn behind(mut self, before: &[Self], doubt: Doubt) -> Vec<Self> {
        let (own, others): (Vec<&Self>, Vec<&Self>) =
            before.iter().partition(|slot| slot.lane == self.lane);
        if doubt != Doubt::None {
            self.changes.extend(own.iter().flat_map(|slot| &slot.changes));
        }
        let (older, last) = others.split_at(others.len().saturating_sub(KEPT_MIN));
        let young = older.iter().filter(|slot| slot.at + APPLIED_MAX > self.at);
        let kept: Vec<Self> = young.chain(last).map(|slot| (*slot).clone()).collect();
        kept.into_iter().chain([self]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(lane: u128, minutes: i64, changes: &[u128]) -> Slot {
        let at = OffsetDateTime::UNIX_EPOCH + Duration::minutes(minutes);
        let changes = changes.iter().map(|id| Uuid::from_u128(*id)).collect();
        Slot { lane: Uuid::from_u128(lane), at, changes }
    }

    #[test]
    fn a_lane_remembers_its_last_batch_and_the_others_theirs_for_ten_minutes() {
        let younger = (4..8).map(|lane| slot(lane, 9, &[lane]));
        let before = [slot(1, 10, &[1]), slot(3, 0, &[3]), slot(2, 4, &[2])];
        let before: Vec<Slot> = before.into_iter().chain(younger).collect();
        let after = slot(1, 12, &[4]).behind(&before, Doubt::None);
        assert_eq!(after, [&before[2..], &[slot(1, 12, &[4])]].concat());
    }

    #[test]
    fn the_lanes_that_came_last_are_remembered_however_far_the_clock_has_jumped() {
        let before: Vec<Slot> = (2..7).map(|lane| slot(lane, 0, &[lane])).collect();
        let after = slot(1, 100, &[1]).behind(&before, Doubt::None);
        assert_eq!(after, [&before[1..], &[slot(1, 100, &[1])]].concat());
    }

    #[test]
    fn after_a_lost_run_a_lane_remembers_what_that_may_have_changed() {
        // Half of the batch runs again; the other half has its changes here already.
        let after = slot(1, 12, &[5]).behind(&[slot(1, 11, &[4])], Doubt::Lost);
        assert_eq!(after, [slot(1, 12, &[5, 4])]);
    }
}
