//! Waiting for what comes about by itself.

use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Asks every 20 ms until there is an answer, for twenty seconds at most; fails with the last
/// reason why there is none.
pub async fn until<T, Why: Display>(ask: impl AsyncFnMut() -> Result<T, Why>) -> T {
    within(Duration::from_secs(20), ask).await
}

/// The same for as long as that at most.
pub async fn within<T, Why: Display>(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, Why>,
) -> T {
    let give_up = Instant::now() + limit;
    let mut last = "no answer".to_owned();
    while let Ok(asked) = timeout_at(give_up, ask()).await {
        match asked {
            Ok(answer) => return answer,
            Err(why) => last = why.to_string(),
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("after {limit:?}: {last}");
}
