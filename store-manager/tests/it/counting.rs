//! What is counted of the sagas.

use messaging::Handler as _;
use prometheus_client::encoding::text::encode;
use proto::{
    OrderId,
    store::orders::events::v1::{OrderEvent, SagaCompleted, saga_completed::Outcome},
};
use store_manager::{handlers::Handlers, metrics::Metrics, watches::Watches};

use crate::scene::{event, payment_created};

#[test]
fn the_end_of_a_saga_is_counted_by_its_outcome_with_its_duration() {
    let mut registry = runtime::metrics::registry();
    let handlers = Handlers::new(Watches::default(), Metrics::register(&mut registry));
    let ended = |outcome: Outcome| {
        event(&OrderEvent::from(SagaCompleted {
            order_id: OrderId::new().to_string(),
            outcome: outcome.into(),
            failure: None,
        }))
    };
    let records = [
        ended(Outcome::Succeeded),
        ended(Outcome::Failed),
        ended(Outcome::Failed),
        payment_created(OrderId::new()),
    ];
    handlers.committed(&records.iter().collect::<Vec<_>>());
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "store_sagas_finished_total{outcome=\"Succeeded\"} 1\n",
        "store_sagas_finished_total{outcome=\"Failed\"} 2\n",
        "store_saga_duration_seconds_count 3\n",
    ] {
        assert!(text.contains(line), "{line} is missing in: {text}");
    }
}
