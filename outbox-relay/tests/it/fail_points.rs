//! The campaign that kills the relay knows all of its fail points.

#[test]
fn the_campaign_kills_the_relay_at_every_fail_point() {
    let killed: Vec<_> = lab::campaign::POINTS.iter().map(|point| point.name).collect();
    assert_eq!(killed, outbox_relay::FAIL_POINTS);
}
