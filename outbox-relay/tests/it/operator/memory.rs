//! The memory of commands stays under a cap, whatever the size of the rows.

use crate::limits::{peak_kb_of, publish_large_rows};
use crate::operator::place;
use crate::world::{World, binary};

/// What a command may need besides 24 bytes a row.
const CAP_KB: u64 = 64 * 1024;

/// Gives a command about the world's source and answers the most memory it ever had.
async fn peak_kb(world: &World, arguments: &[&str]) -> u64 {
    let mut command = tokio::process::Command::new(binary());
    let mut child = command.args(arguments).args(place(world)).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = child.id().and_then(peak_kb_of).unwrap_or(peak);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(child.wait().await.unwrap().success());
    peak
}

#[tokio::test]
async fn memory_stays_bounded_on_large_rows() {
    const ROWS: usize = 300;
    let world = World::new().await;
    let relay = publish_large_rows(&world, ROWS).await;
    relay.stop().await;
    for arguments in [&["replay", "--from", "0"][..], &["audit"]] {
        let peak = peak_kb(&world, arguments).await;
        println!("peak resident memory of {arguments:?} on {ROWS} rows of 800 kB: {peak} kB");
        assert!(peak < CAP_KB, "{peak} kB");
    }
    assert_eq!(world.received(2 * ROWS).await.len(), 2 * ROWS);
}
