//! The ways of an order from its placing to its end, every event through its handler.

use messaging::HandleError;
use proto::{
    OrderId,
    store::{
        orders::{
            events::v1::{OrderEvent, SagaCompleted, order_event::Event, saga_completed::Outcome},
            v1::{
                CancelOrderRequest, Order, failure::Reason, order::State,
                order_service_server::OrderService,
            },
        },
        stock::events::v1::{StockEvent, stock_event},
    },
};
use tonic::{Code, Request, Status};

use crate::scene::{
    GADGET, KEYBOARD, LAPTOP, Scene, id, payment_cancelled, payment_created,
    payment_creation_failed, payment_processed,
};

pub(crate) async fn cancel(scene: &Scene, order_id: OrderId) -> Result<Order, Status> {
    let request = CancelOrderRequest { order_id: order_id.to_string(), request_id: String::new() };
    Ok(scene.orders.cancel_order(Request::new(request)).await?.into_inner().order.unwrap())
}

async fn sagas_completed(scene: &Scene, order_id: OrderId) -> Vec<SagaCompleted> {
    let announced = scene.announced(order_id).await;
    let orders = announced.iter().filter(|announced| announced.topic.contains("orders"));
    orders
        .filter_map(|announced| match announced.decode::<OrderEvent>().event {
            Some(Event::SagaCompleted(completed)) => Some(completed),
            _ => None,
        })
        .collect()
}

async fn outcome(scene: &Scene, order_id: OrderId) -> Outcome {
    let completed = sagas_completed(scene, order_id).await;
    assert_eq!(completed.len(), 1, "exactly one SagaCompleted");
    completed[0].outcome()
}

#[tokio::test]
async fn an_order_completes_and_each_event_is_caused_by_the_one_before() {
    let scene = Scene::new().await;
    let order = scene.order(&[(LAPTOP, 1)]).await.unwrap();
    let order_id = id(&order);
    assert_eq!(order.state(), State::DecreasingStock);
    scene.settle().await;
    assert_eq!(scene.state(order_id).await, State::CreatingPayment);
    let payment_created = payment_created(order_id);
    scene.deliver(&payment_created).await.unwrap();
    scene.settle().await;
    let order = scene.get(order_id).await;
    assert_eq!((order.state(), order.is_paid), (State::Completed, false));
    assert!(order.payment_link.starts_with("https://pay.example/"));
    assert_eq!(outcome(&scene, order_id).await, Outcome::Succeeded);
    let announced = scene.announced(order_id).await;
    let names: Vec<_> = announced.iter().map(crate::scene::Announced::name).collect();
    assert_eq!(names, ["OrderCreated", "StockDecreased", "SagaCompleted"]);
    assert_eq!(announced[0].causationid, None);
    assert_eq!(announced[1].causationid, Some(announced[0].id.to_string()));
    assert_eq!(announced[2].causationid, payment_created.event_id().map(|id| id.to_string()));
    let saga = Some(order_id.to_string());
    assert!(announced.iter().all(|announced| announced.correlationid == saga));
    assert_eq!(
        scene.reached(order_id).await,
        ["DECREASING_STOCK", "CREATING_PAYMENT", "COMPLETED"]
    );
}

#[tokio::test]
async fn all_lines_are_taken_and_told_with_what_is_left() {
    let scene = Scene::new().await;
    let order = scene.order(&[(GADGET, 2), (KEYBOARD, 1)]).await.unwrap();
    let total = order.total.clone().unwrap();
    assert_eq!((total.units, total.nanos), (71, 0));
    scene.settle().await;
    assert_eq!((scene.on_hand(KEYBOARD).await, scene.on_hand(GADGET).await), (499, 0));
    let announced = scene.announced(id(&order)).await;
    let Some(stock_event::Event::StockDecreased(event)) = announced[1].decode::<StockEvent>().event
    else {
        panic!("{announced:?}")
    };
    let lines: Vec<_> = event
        .lines
        .iter()
        .map(|line| {
            (line.product_id.clone(), line.quantity, line.quantity_after, line.stock_version)
        })
        .collect();
    assert_eq!(lines, [(KEYBOARD.to_string(), 1, 499, 2), (GADGET.to_string(), 2, 0, 2)]);
    assert_eq!(event.total.unwrap().units, 71);
}

#[tokio::test]
async fn an_order_that_is_short_takes_nothing_and_is_kept_with_its_reason() {
    let scene = Scene::new().await;
    for lines in [&[(GADGET, 3)][..], &[(KEYBOARD, 1), (GADGET, 3)][..]] {
        let order_id = id(&scene.order(lines).await.unwrap());
        scene.settle().await;
        let order = scene.get(order_id).await;
        assert_eq!(order.state(), State::Cancelled);
        let failure = order.failure.unwrap();
        assert_eq!(failure.reason(), Reason::InsufficientStock);
        assert_eq!(failure.detail, "available=2, required=3");
        assert_eq!(failure.product_id, GADGET.to_string());
        assert_eq!((scene.on_hand(KEYBOARD).await, scene.on_hand(GADGET).await), (500, 2));
        assert_eq!(
            scene.announced_names(order_id).await,
            ["OrderCreated", "StockDecreaseFailed", "OrderCancelled", "SagaCompleted"]
        );
        assert_eq!(outcome(&scene, order_id).await, Outcome::Failed);
    }
}

#[tokio::test]
async fn a_refused_payment_gives_the_stock_back() {
    let scene = Scene::new().await;
    let order_id = scene.placed().await;
    scene.settle().await;
    assert_eq!(scene.on_hand(LAPTOP).await, 999);
    scene.deliver(&payment_creation_failed(order_id)).await.unwrap();
    scene.settle().await;
    let order = scene.get(order_id).await;
    assert_eq!(order.state(), State::Cancelled);
    assert_eq!(order.failure.as_ref().unwrap().reason(), Reason::PaymentRefused);
    assert_eq!(order.failure.unwrap().detail, "declined");
    assert_eq!(scene.on_hand(LAPTOP).await, 1_000);
    assert_eq!(outcome(&scene, order_id).await, Outcome::Failed);
    assert_eq!(
        scene.announced_names(order_id).await,
        ["OrderCreated", "StockDecreased", "StockIncreased", "OrderCancelled", "SagaCompleted"]
    );
}

#[tokio::test]
async fn a_processed_payment_makes_the_order_paid_and_a_paid_order_is_not_cancelled() {
    let scene = Scene::new().await;
    let order_id = completed(&scene).await;
    scene.deliver(&payment_processed(order_id)).await.unwrap();
    scene.settle().await;
    assert!(scene.get(order_id).await.is_paid);
    let before = scene.everything().await;
    scene.deliver(&payment_processed(order_id)).await.unwrap();
    assert_eq!(scene.everything().await, before);
    assert_eq!(cancel(&scene, order_id).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(scene.everything().await, before);
}

pub(crate) async fn completed(scene: &Scene) -> OrderId {
    let order_id = scene.placed().await;
    scene.settle().await;
    scene.deliver(&payment_created(order_id)).await.unwrap();
    scene.settle().await;
    order_id
}

#[tokio::test]
async fn an_order_cancelled_before_its_stock_is_taken_never_takes_it() {
    let scene = Scene::new().await;
    let order_id = scene.placed().await;
    assert_eq!(cancel(&scene, order_id).await.unwrap().state(), State::Cancelled);
    scene.settle().await;
    assert_eq!(scene.state(order_id).await, State::Cancelled);
    assert_eq!(scene.on_hand(LAPTOP).await, 1_000);
    assert_eq!(outcome(&scene, order_id).await, Outcome::Failed);
    assert_eq!(
        scene.announced_names(order_id).await,
        ["OrderCreated", "OrderCancelled", "SagaCompleted"]
    );
}

#[tokio::test]
async fn an_order_cancelled_while_its_payment_is_created_ends_cancelled() {
    let scene = Scene::new().await;
    let order_id = scene.placed().await;
    scene.settle().await;
    assert_eq!(cancel(&scene, order_id).await.unwrap().state(), State::Cancelling);
    scene.settle().await;
    scene.deliver(&payment_created(order_id)).await.unwrap();
    let order = scene.get(order_id).await;
    assert_eq!(order.state(), State::Cancelling);
    assert_eq!(order.payment_id, crate::scene::payment_id(order_id).to_string());
    scene.deliver(&payment_cancelled(order_id)).await.unwrap();
    scene.settle().await;
    let order = scene.get(order_id).await;
    assert_eq!(order.state(), State::Cancelled);
    assert_eq!(order.failure.unwrap().reason(), Reason::CancelledByCaller);
    assert_eq!(scene.on_hand(LAPTOP).await, 1_000);
    assert_eq!(outcome(&scene, order_id).await, Outcome::Failed);
}

#[tokio::test]
async fn a_cancel_after_completion_announces_no_second_end() {
    let scene = Scene::new().await;
    let order_id = completed(&scene).await;
    assert_eq!(cancel(&scene, order_id).await.unwrap().state(), State::Cancelling);
    scene.deliver(&payment_cancelled(order_id)).await.unwrap();
    scene.settle().await;
    assert_eq!(scene.state(order_id).await, State::Cancelled);
    assert_eq!(scene.on_hand(LAPTOP).await, 1_000);
    assert_eq!(outcome(&scene, order_id).await, Outcome::Succeeded);
}

#[tokio::test]
async fn a_cancel_that_came_too_late_leaves_the_order_paid() {
    let scene = Scene::new().await;
    let after_completion = completed(&scene).await;
    let before_completion = scene.placed().await;
    scene.settle().await;
    for order_id in [after_completion, before_completion] {
        cancel(&scene, order_id).await.unwrap();
        scene.settle().await;
        scene.deliver(&payment_created(order_id)).await.unwrap();
        scene.deliver(&payment_processed(order_id)).await.unwrap();
        scene.settle().await;
        let order = scene.get(order_id).await;
        assert_eq!((order.state(), order.is_paid), (State::Completed, true));
        assert_eq!(order.failure, None);
        assert_eq!(outcome(&scene, order_id).await, Outcome::Succeeded);
    }
    assert_eq!(scene.on_hand(LAPTOP).await, 998);
}

#[tokio::test]
async fn a_payment_of_a_cancelled_order_is_cancelled_too() {
    let scene = Scene::new().await;
    let order_id = scene.placed().await;
    cancel(&scene, order_id).await.unwrap();
    scene.settle().await;
    scene.deliver(&payment_created(order_id)).await.unwrap();
    scene.deliver(&payment_created(order_id)).await.unwrap();
    let names = scene.announced_names(order_id).await;
    assert_eq!(names.iter().filter(|name| *name == "OrderCancellationRequested").count(), 1);
    scene.deliver(&payment_cancelled(order_id)).await.unwrap();
    assert_eq!(scene.state(order_id).await, State::Cancelled);
    assert_eq!(scene.on_hand(LAPTOP).await, 1_000);
}

#[tokio::test]
async fn stock_that_cannot_be_given_back_needs_attention_and_can_be_tried_again() {
    let scene = Scene::new().await;
    let order_id = scene.placed().await;
    scene.settle().await;
    scene.remove(LAPTOP).await;
    scene.deliver(&payment_creation_failed(order_id)).await.unwrap();
    scene.settle().await;
    let order = scene.get(order_id).await;
    assert_eq!(order.state(), State::NeedsAttention);
    let failure = order.failure.unwrap();
    assert_eq!(failure.reason(), Reason::StockIncreaseFailed);
    assert_eq!(failure.product_id, LAPTOP.to_string());
    assert_eq!(outcome(&scene, order_id).await, Outcome::Failed);
    let before = scene.announced_names(order_id).await;
    assert_eq!(before, ["OrderCreated", "StockDecreased", "StockIncreaseFailed", "SagaCompleted"]);

    assert_eq!(cancel(&scene, order_id).await.unwrap().state(), State::NeedsAttention);
    assert_eq!(scene.announced_names(order_id).await, before);

    scene.put_back(LAPTOP, 7).await;
    assert_eq!(cancel(&scene, order_id).await.unwrap().state(), State::Cancelling);
    scene.settle().await;
    let order = scene.get(order_id).await;
    assert_eq!(order.state(), State::Cancelled);
    assert_eq!(order.failure.unwrap().reason(), Reason::CancelledByCaller);
    assert_eq!(scene.on_hand(LAPTOP).await, 8);
    assert_eq!(sagas_completed(&scene, order_id).await.len(), 1);
}

#[tokio::test]
async fn every_event_may_come_twice() {
    let scene = Scene::new().await;
    let happy = scene.placed().await;
    let short = id(&scene.order(&[(GADGET, 3)]).await.unwrap());
    let refused = scene.placed().await;
    let cancelled = scene.placed().await;
    scene.settle_each(2).await;
    cancel(&scene, cancelled).await.unwrap();
    for record in [
        payment_created(happy),
        payment_creation_failed(refused),
        payment_created(cancelled),
        payment_cancelled(cancelled),
    ] {
        scene.deliver_unremembered(&record).await.unwrap();
        scene.deliver_unremembered(&record).await.unwrap();
    }
    scene.settle_each(3).await;
    let paid = payment_processed(happy);
    scene.deliver_unremembered(&paid).await.unwrap();
    scene.deliver_unremembered(&paid).await.unwrap();
    for (order_id, state) in [
        (happy, State::Completed),
        (short, State::Cancelled),
        (refused, State::Cancelled),
        (cancelled, State::Cancelled),
    ] {
        assert_eq!(scene.state(order_id).await, state);
        assert_eq!(sagas_completed(&scene, order_id).await.len(), 1);
    }
    assert_eq!((scene.on_hand(LAPTOP).await, scene.on_hand(GADGET).await), (999, 2));
}

#[tokio::test]
async fn an_event_of_an_unknown_order_or_another_payment_is_rejected() {
    let scene = Scene::new().await;
    let error = scene.deliver(&payment_created(OrderId::new())).await.unwrap_err();
    assert!(matches!(error, HandleError::Reject(_)), "{error}");
    let order_id = completed(&scene).await;
    let other = crate::scene::payment_id(OrderId::new());
    let event = proto::store::payments::events::v1::PaymentEvent::from(
        proto::store::payments::events::v1::PaymentProcessed {
            order_id: order_id.to_string(),
            payment_id: other.to_string(),
            ..Default::default()
        },
    );
    let error = scene.deliver(&crate::scene::event(&event)).await.unwrap_err();
    assert!(matches!(error, HandleError::Reject(_)), "{error}");
    assert!(!scene.get(order_id).await.is_paid);
}
