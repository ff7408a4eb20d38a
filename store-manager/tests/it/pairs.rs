//! Every situation of an order with every event, through the handlers: what is due happens, what is done already or cannot be
//! changes nothing.

use messaging::{HandleError, Record};
use proto::{
    OrderId, ProductId,
    store::{
        orders::{
            events::v1::{
                OrderCancellationRequested, OrderCancelled, OrderCreated, OrderCreationFailed,
                OrderEvent, SagaCompleted,
            },
            v1::order::State,
        },
        stock::events::v1::{
            StockDecreaseFailed, StockDecreased, StockEvent, StockIncreaseFailed, StockIncreased,
            StockSet,
        },
    },
};

use crate::{
    saga::cancel,
    scene::{
        Scene, event, id, payment_cancelled, payment_created, payment_creation_failed,
        payment_processed,
    },
};

/// How an order came to where it is. Each has a product of its own, of which two were on hand.
#[derive(Clone, Copy, Debug)]
enum Situation {
    DecreasingStock,
    CreatingPayment,
    Completed,
    Paid,
    CancellingShort,
    CancellingRefused,
    CancellingAsked,
    CancellingAskedWithPayment,
    CancelledUnannounced,
    Cancelled,
    CancelledWithPayment,
    NeedsAttention,
}

use Situation::{
    Cancelled, CancelledUnannounced, CancelledWithPayment, CancellingAsked,
    CancellingAskedWithPayment, CancellingRefused, CancellingShort, Completed, CreatingPayment,
    DecreasingStock, NeedsAttention, Paid,
};

const SITUATIONS: [Situation; 12] = [
    DecreasingStock,
    CreatingPayment,
    Completed,
    Paid,
    CancellingShort,
    CancellingRefused,
    CancellingAsked,
    CancellingAskedWithPayment,
    CancelledUnannounced,
    Cancelled,
    CancelledWithPayment,
    NeedsAttention,
];

/// What an event does: the state afterwards with what is announced, nothing, or that it is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Moves(State, Option<&'static str>),
    Nothing,
    Rejected,
}

use Effect::{Moves, Nothing, Rejected};

/// The events in the order of the columns below.
fn records(order_id: OrderId) -> [Record; 8] {
    let order_id_text = order_id.to_string();
    [
        event(&OrderEvent::from(OrderCreated {
            order_id: order_id_text.clone(),
            ..Default::default()
        })),
        event(&StockEvent::from(StockDecreaseFailed {
            order_id: order_id_text.clone(),
            ..Default::default()
        })),
        event(&StockEvent::from(StockIncreased {
            order_id: order_id_text.clone(),
            ..Default::default()
        })),
        event(&OrderEvent::from(OrderCancelled { order_id: order_id_text, ..Default::default() })),
        payment_created(order_id),
        payment_creation_failed(order_id),
        payment_processed(order_id),
        payment_cancelled(order_id),
    ]
}

/// What each event does in a situation.
fn effects(situation: Situation) -> [Effect; 8] {
    let taken = Moves(State::CreatingPayment, Some("StockDecreased"));
    let cancelled = Moves(State::Cancelled, Some("OrderCancelled"));
    let ended = Moves(State::Cancelled, Some("SagaCompleted"));
    let completed = Moves(State::Completed, Some("SagaCompleted"));
    let paid = Moves(State::Completed, None);
    let noted = Moves(State::Cancelling, None);
    let given_back = Moves(State::Cancelling, Some("StockIncreased"));
    let voided = Moves(State::Cancelled, Some("OrderCancellationRequested"));
    match situation {
        DecreasingStock => {
            [taken, Rejected, Rejected, Rejected, Rejected, Rejected, Rejected, Rejected]
        }
        CreatingPayment => {
            [Nothing, Rejected, Rejected, Rejected, completed, given_back, Rejected, Rejected]
        }
        Completed => [Nothing, Rejected, Rejected, Rejected, Nothing, Rejected, paid, Rejected],
        Paid => [Nothing, Rejected, Rejected, Rejected, Nothing, Rejected, Nothing, Rejected],
        CancellingShort | CancellingRefused => {
            [Nothing, cancelled, cancelled, Rejected, noted, Nothing, Rejected, Nothing]
        }
        CancellingAsked => {
            [Nothing, Rejected, Rejected, Rejected, noted, given_back, completed, given_back]
        }
        CancellingAskedWithPayment => {
            [Nothing, Rejected, Rejected, Rejected, Nothing, given_back, paid, given_back]
        }
        CancelledUnannounced => {
            [Nothing, Nothing, Nothing, ended, voided, Nothing, Rejected, Nothing]
        }
        Cancelled => [Nothing, Nothing, Nothing, Nothing, voided, Nothing, Rejected, Nothing],
        CancelledWithPayment => {
            [Nothing, Nothing, Nothing, Nothing, Nothing, Nothing, Rejected, Nothing]
        }
        NeedsAttention => {
            let noted = Moves(State::NeedsAttention, None);
            [Nothing, Rejected, Rejected, Rejected, noted, Nothing, Rejected, Nothing]
        }
    }
}

impl Situation {
    async fn make(self, scene: &Scene) -> OrderId {
        let product_id = scene.product(1_000, 2).await;
        let quantity = if matches!(self, CancellingShort) { 3 } else { 1 };
        let order_id = id(&scene.order(&[(product_id, quantity)]).await.unwrap());
        self.bring(scene, order_id, product_id).await;
        order_id
    }

    async fn bring(self, scene: &Scene, order_id: OrderId, product_id: ProductId) {
        let [order_created, _, increased, order_cancelled, created, failed, processed, void] =
            records(order_id);
        let steps: &[&Record] = match self {
            DecreasingStock | CancelledUnannounced | Cancelled => &[],
            CreatingPayment | CancellingShort | CancellingAsked => &[&order_created],
            CancellingRefused => &[&order_created, &failed],
            Completed | CancellingAskedWithPayment | CancelledWithPayment => {
                &[&order_created, &created]
            }
            Paid => &[&order_created, &created, &processed],
            NeedsAttention => {
                scene.deliver(&order_created).await.unwrap();
                scene.remove(product_id).await;
                &[&failed]
            }
        };
        for record in steps {
            scene.deliver(record).await.unwrap();
        }
        match self {
            CancellingAsked | CancellingAskedWithPayment | CancelledUnannounced => {
                cancel(scene, order_id).await.unwrap();
            }
            Cancelled => {
                cancel(scene, order_id).await.unwrap();
                scene.deliver(&order_cancelled).await.unwrap();
            }
            CancelledWithPayment => {
                cancel(scene, order_id).await.unwrap();
                scene.deliver(&void).await.unwrap();
                scene.deliver(&increased).await.unwrap();
            }
            DecreasingStock | CreatingPayment | Completed | Paid | CancellingShort
            | CancellingRefused | NeedsAttention => {}
        }
    }
}

#[tokio::test]
async fn every_event_does_in_every_situation_what_the_table_says() {
    let scene = Scene::new().await;
    for situation in SITUATIONS {
        for (column, expected) in effects(situation).into_iter().enumerate() {
            let order_id = situation.make(&scene).await;
            let record = &records(order_id)[column];
            let pair = format!("{situation:?} x {:?}", record.event_type().unwrap());
            let (before, announced) =
                (scene.everything().await, scene.announced_names(order_id).await.len());
            let result = scene.deliver(record).await;
            let names = scene.announced_names(order_id).await;
            match expected {
                Moves(state, name) => {
                    result.unwrap();
                    assert_eq!(scene.state(order_id).await, state, "{pair}");
                    let new: Vec<_> = names[announced..].iter().map(String::as_str).collect();
                    assert_eq!(new, Vec::from_iter(name), "{pair}");
                    assert_ne!(scene.everything().await, before, "{pair}");
                }
                Nothing => {
                    result.unwrap();
                    assert_eq!(scene.everything().await, before, "{pair}");
                }
                Rejected => {
                    assert!(matches!(result, Err(HandleError::Reject(_))), "{pair}: {result:?}");
                    assert_eq!(scene.everything().await, before, "{pair}");
                }
            }
        }
    }
}

#[tokio::test]
async fn own_announcements_ask_nothing_of_anybody() {
    let scene = Scene::new().await;
    let order_id = OrderId::new().to_string();
    let before = scene.everything().await;
    for record in [
        event(&OrderEvent::from(OrderCreationFailed {
            order_id: order_id.clone(),
            ..Default::default()
        })),
        event(&OrderEvent::from(OrderCancellationRequested {
            order_id: order_id.clone(),
            ..Default::default()
        })),
        event(&OrderEvent::from(SagaCompleted {
            order_id: order_id.clone(),
            ..Default::default()
        })),
        event(&StockEvent::from(StockDecreased {
            order_id: order_id.clone(),
            ..Default::default()
        })),
        event(&StockEvent::from(StockIncreaseFailed { order_id, ..Default::default() })),
        event(&StockEvent::from(StockSet { line: Some(Default::default()) })),
    ] {
        scene.deliver(&record).await.unwrap();
    }
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn what_cannot_be_read_is_rejected_and_changes_nothing() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    let mut garbage = payment_created(OrderId::new());
    garbage.payload = Some(vec![0xFF; 7]);
    assert!(scene.deliver(&garbage).await.is_err());
    let mut newer = payment_created(OrderId::new());
    newer.payload = Some(Vec::new());
    assert!(matches!(scene.deliver(&newer).await, Err(HandleError::Reject(_))));
    let mut elsewhere = payment_created(OrderId::new());
    elsewhere.topic = "elsewhere".to_owned();
    assert!(matches!(scene.deliver(&elsewhere).await, Err(HandleError::Reject(_))));
    assert_eq!(scene.everything().await, before);
}
