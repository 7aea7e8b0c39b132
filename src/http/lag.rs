//! How long requests wait for their thread, and who gives way then.
//!
//! A worker is one thread: when more is to be done than it can, requests wait in its queue, before
//! anything of ours could refuse them. So each worker looks at how late it comes to what is due,
//! and while that is too late, browsing gives way to checkouts.

use crate::error::{Code, Problem};
use crate::metrics;
use actix_web::HttpRequest;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Between two looks.
const TICK: Duration = Duration::from_millis(10);

thread_local! {
    /// How late the last two looks came at least: one alone may have met a hiccup that is over.
    /// `None` until somebody asks.
    static LAG: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// The longest that requests may wait for their thread before browsing gives way.
#[derive(Debug, Clone, Copy)]
pub struct LagMax(pub Duration);

/// Refuses who browses while this worker is late.
pub(super) fn give_way(request: &HttpRequest) -> Result<(), Problem> {
    let Some(LagMax(most)) = request.app_data() else { return Ok(()) };
    if lag() <= *most {
        return Ok(());
    }
    metrics::gave_way();
    Err(Problem::new(Code::Overloaded, "Too busy to look around; orders go first."))
}

fn lag() -> Duration {
    LAG.get().unwrap_or_else(|| {
        LAG.set(Some(Duration::ZERO));
        actix_web::rt::spawn(look());
        Duration::ZERO
    })
}

async fn look() {
    let mut before = Duration::ZERO;
    loop {
        let due = Instant::now() + TICK;
        sleep_until(due).await;
        let lag = due.elapsed();
        metrics::worker_lag(lag);
        LAG.set(Some(lag.min(before)));
        before = lag;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_worker_knows_how_late_it_is_and_when_it_has_caught_up() {
        assert_eq!(lag(), Duration::ZERO);
        for hiccup in 0..2 {
            assert!(lag() < Duration::from_millis(150), "{hiccup}: {:?}", lag());
            // The look has begun to wait; then work keeps the thread.
            sleep_until(Instant::now() + TICK / 5).await;
            std::thread::sleep(Duration::from_millis(200));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        assert!(lag() >= Duration::from_millis(150), "{:?}", lag());
        sleep_until(Instant::now() + TICK * 10).await;
        assert!(lag() < Duration::from_millis(150), "{:?}", lag());
    }
}
