//! The callers: what each does comes from the seed, what it was told is kept.

mod acts;
mod caller;
mod recorder;

use futures::future::try_join_all;

use super::{ChaosError, World};
use caller::Caller;

pub use acts::{Act, Acts, Patience};
pub use recorder::Recorder;

/// How many callers there are.
const CALLERS: usize = 6;

/// Calls until everything that is to be broken has been.
pub(super) async fn call(world: &World, seed: u64) -> Result<(), ChaosError> {
    let callers = (0..CALLERS)
        .map(|number| Caller::new(world, seed, number))
        .collect::<Result<Vec<_>, _>>()?;
    try_join_all(callers.into_iter().map(Caller::live)).await?;
    Ok(())
}
