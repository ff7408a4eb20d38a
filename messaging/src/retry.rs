//! Trying again: a command that lost against another transaction, or whose commit has an unknown outcome, is repeated as
//! long as its caller waits. Commands are safe to repeat.

use std::{error::Error, time::Duration};

use runtime::grpc::deadline;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::failure::{Class, classify};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Where no caller set a deadline.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `attempt`, with how often it was tried before, until it ends well or its failure will last.
///
/// # Errors
/// The last attempt's.
pub async fn until_known<A, E: Error + 'static, F: Future<Output = Result<A, E>>>(
    mut attempt: impl FnMut(u32) -> F,
) -> Result<A, E> {
    let until = Instant::now() + deadline::remaining().unwrap_or(PATIENCE);
    let mut pause = FIRST_PAUSE;
    for tried in 0.. {
        match attempt(tried).await {
            Err(error) if is_passing(&error) && Instant::now() + pause < until => {
                warn!(error = &error as &dyn Error, tried, "command not done, trying again");
            }
            result => return result,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    unreachable!("the loop ends by returning")
}

/// Whether a failure of the database lies behind it that may be over the next time.
fn is_passing(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return matches!(classify(error), Class::Contention | Class::Transient);
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_passing_failure_is_tried_again_and_a_lasting_one_is_not() {
        let passing = until_known(|tried| async move {
            if tried < 2 { Err(sqlx::Error::PoolTimedOut) } else { Ok(tried) }
        });
        assert_eq!(passing.await.unwrap(), 2);
        let mut tries = 0;
        let lasting = until_known(|_| {
            tries += 1;
            async { Err::<(), _>(sqlx::Error::RowNotFound) }
        });
        assert!(lasting.await.is_err());
        assert_eq!(tries, 1);
    }
}
