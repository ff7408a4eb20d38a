//! The memory of commands stays under a cap, whatever the size of the rows.

use std::fs;

use crate::operator::place;
use crate::world::{World, binary, execute};

/// What a command may need besides 24 bytes a row.
const CAP_KB: u64 = 64 * 1024;

/// Gives a command about the world's source and answers the most memory it ever had.
async fn peak_kb(world: &World, arguments: &[&str]) -> u64 {
    let mut command = tokio::process::Command::new(binary());
    let mut child = command.args(arguments).args(place(world)).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status =
            child.id().and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let status = status.unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
        peak = line.split_whitespace().nth(1).map_or(peak, |peak| peak.parse().unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(child.wait().await.unwrap().success());
    peak
}

#[tokio::test]
async fn memory_stays_bounded_on_large_rows() {
    const ROWS: usize = 300;
    let world = World::new().await;
    let mut connection = world.connect().await;
    execute(
        &mut connection,
        format!(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
            SELECT gen_random_uuid(), '{}', number::text, 'T', 's', number::text,
                convert_to(repeat(md5(number::text), 25000), 'UTF8')
            FROM generate_series(1, {ROWS}) AS number",
            world.topic
        ),
    )
    .await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == ROWS && source["in_flight"] == 0).await;
    relay.stop().await;
    for arguments in [&["replay", "--from", "0"][..], &["audit"]] {
        let peak = peak_kb(&world, arguments).await;
        println!("peak resident memory of {arguments:?} on {ROWS} rows of 800 kB: {peak} kB");
        assert!(peak < CAP_KB, "{peak} kB");
    }
    assert_eq!(world.received(2 * ROWS).await.len(), 2 * ROWS);
}
