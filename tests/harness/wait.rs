//! Waiting for what comes about by itself.

use std::fmt::Display;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Asks until there is an answer, for twenty seconds at most; fails with the last reason why there
/// is none.
pub async fn until<T, Why: Display>(ask: impl AsyncFnMut() -> Result<T, Why>) -> T {
    within(Duration::from_secs(20), ask).await
}

/// The same for as long as that at most.
pub async fn within<T, Why: Display>(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, Why>,
) -> T {
    let give_up = Instant::now() + limit;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < give_up, "{why}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
