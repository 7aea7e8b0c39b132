//! GCRA: a client owes for what it has asked for, and works its debt off by waiting. Nothing is
//! counted and no window begins anew, so there is no moment at which everybody may come again.

/// So much for each time unit, and so much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds that one request costs.
    interval: u64,
    /// Requests at once, after a long enough pause.
    burst: u32,
}

/// Where a client stands with one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests at once.
    pub limit: u32,
    /// How many of them are left now.
    pub remaining: u32,
    /// Until all of them are there again.
    pub reset_seconds: u32,
    /// Until the next one is there.
    pub wait_seconds: u32,
}

/// What a rate may be; together they keep every sum within 64 bits.
const PER_UNIT_MAX: u64 = 1_000_000;
const BURST_MAX: u32 = 1_000_000;

const SECOND: u64 = 1_000_000_000;

impl Rate {
    /// Reads `10/second burst 600`; the unit may be a minute or an hour as well.
    pub fn parse(text: &str) -> Option<Self> {
        let (rate, burst) = text.split_once(" burst ")?;
        let (count, unit) = rate.trim().split_once('/')?;
        let unit = match unit.trim() {
            "second" => SECOND,
            "minute" => 60 * SECOND,
            "hour" => 3_600 * SECOND,
            _ => return None,
        };
        let count = count.trim().parse().ok().filter(|n| (1..=PER_UNIT_MAX).contains(n))?;
        let burst = burst.trim().parse().ok().filter(|n| (1..=BURST_MAX).contains(n))?;
        Some(Self { interval: unit / count, burst })
    }

    /// Requests at once.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// What so many requests cost, in nanoseconds.
    pub fn cost(self, requests: u32) -> u64 {
        self.interval * u64::from(requests)
    }

    /// The largest debt.
    pub fn tolerance(self) -> u64 {
        self.cost(self.burst)
    }

    /// The debt after one more request, or how long to wait for it.
    pub fn take(self, debt: u64) -> Result<u64, u64> {
        let owed = debt.saturating_add(self.interval);
        if owed <= self.tolerance() { Ok(owed) } else { Err(owed - self.tolerance()) }
    }

    /// Where a client with this debt stands.
    pub fn standing(self, debt: u64) -> Standing {
        let left = self.tolerance().saturating_sub(debt) / self.interval;
        Standing {
            limit: self.burst,
            remaining: u32::try_from(left).unwrap_or(self.burst),
            reset_seconds: seconds(debt),
            wait_seconds: self.take(debt).err().map_or(0, seconds),
        }
    }
}

/// Whole seconds, so that whoever waits for them has waited long enough.
pub fn seconds(nanos: u64) -> u32 {
    u32::try_from(nanos.div_ceil(SECOND)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).expect("a rate")
    }

    #[test]
    fn a_rate_is_written_as_it_is_said() {
        let expected = Rate { interval: SECOND / 10, burst: 600 };
        assert_eq!(Rate::parse("10/second burst 600"), Some(expected));
        assert_eq!(rate("60/hour burst 5"), rate("1/minute burst 5"));
        for wrong in [
            "",
            "10/second",
            "10 burst 5",
            "0/second burst 5",
            "10/second burst 0",
            "-1/second burst 5",
            "10/day burst 5",
            "10/second burst 1000001",
            "1000001/second burst 5",
            "1.5/second burst 5",
        ] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_burst_comes_at_once_and_the_rest_by_and_by() {
        let rate = rate("2/second burst 3");
        let mut debt = 0;
        for left in [2, 1, 0] {
            debt = rate.take(debt).unwrap();
            assert_eq!(rate.standing(debt).remaining, left);
        }
        assert_eq!(rate.take(debt), Err(SECOND / 2));
        let standing = Standing { limit: 3, remaining: 0, reset_seconds: 2, wait_seconds: 1 };
        assert_eq!(rate.standing(debt), standing);
        assert_eq!(rate.take(debt - SECOND / 2), Ok(debt));
        assert_eq!(rate.standing(0).remaining, 3);
    }

    proptest! {
        #[test]
        fn in_any_time_no_more_than_the_burst_and_the_rate_come_through(
            per_second in 1_u64..1_000,
            burst in 1_u32..50,
            gaps in prop::collection::vec(0_u64..100_000_000, 1..300),
        ) {
            let rate = Rate { interval: SECOND / per_second, burst };
            let (mut now, mut clear_at, mut taken) = (0, 0, Vec::new());
            for gap in gaps {
                now += gap;
                let debt = u64::saturating_sub(clear_at, now);
                match rate.take(debt) {
                    Ok(debt) => {
                        clear_at = now + debt;
                        taken.push(now);
                    }
                    // Who waits as told is let through, and not a moment sooner.
                    Err(wait) => {
                        prop_assert!(wait > 0 && wait <= rate.interval);
                        prop_assert!(rate.take(debt - wait).is_ok());
                        prop_assert!(rate.take(debt - wait + 1).is_err());
                        prop_assert_eq!(rate.standing(debt).remaining, 0);
                    }
                }
            }
            for (n, from) in taken.iter().enumerate() {
                for (m, to) in taken.iter().enumerate().skip(n) {
                    let allowed = u64::from(burst) + (to - from) / rate.interval;
                    prop_assert!((m - n + 1) as u64 <= allowed);
                }
            }
        }

        #[test]
        fn no_debt_and_no_rate_is_too_large_to_reckon_with(
            count in 1_u64..=PER_UNIT_MAX,
            burst in 1_u32..=BURST_MAX,
            debt in any::<u64>(),
        ) {
            let rate = Rate { interval: 3_600 * SECOND / count, burst };
            let standing = rate.standing(debt);
            prop_assert!(standing.remaining <= standing.limit);
            prop_assert_eq!(standing.remaining == 0, rate.take(debt).is_err());
        }
    }
}
