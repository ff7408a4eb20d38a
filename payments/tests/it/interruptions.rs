//! Killed between any two steps, and run again: the outcome is that of one run.

use payments::domain::PaymentState::{self, CancelRequested, Cancelled, Paid, Pending, Requested};
use uuid::Uuid;

use crate::scene::{Order, Scene, killed_after};

/// More polls than anything here needs.
const MANY: usize = 200;

/// On a busy machine the database may answer before it is looked whether it has: then nothing is there to kill in between.
const ROUNDS: usize = 50;

/// What is done to a fresh order, and what it leaves.
struct Interrupted<'a, W> {
    scene: &'a Scene,
    before: Option<PaymentState>,
    work: W,
    after: PaymentState,
    announced: &'a [&'a str],
    ledger: &'a [&'a str],
}

impl<W: AsyncFn(&Scene, &Order)> Interrupted<'_, W> {
    /// Does the work, killed after the first poll, the second and so on until it ends by itself; after each kill does it
    /// again, then compares with what one run leaves. Answers how many polls the whole took.
    async fn everywhere(&self) -> usize {
        let Self { scene, after, announced, ledger, .. } = *self;
        for polls in 1..MANY {
            let order = match self.before {
                Some(state) => scene.order_in(state).await,
                None => Order::new(),
            };
            let ended = killed_after(polls, (self.work)(scene, &order)).await.is_some();
            (self.work)(scene, &order).await;
            let order_id = order.order_id;
            assert_eq!(scene.payment(order_id).await.state, after, "after {polls} polls");
            assert_eq!(scene.announced_names(order_id).await, announced, "after {polls} polls");
            assert_eq!(scene.ledger(order_id).await, ledger, "after {polls} polls");
            if ended {
                return polls;
            }
        }
        panic!("{MANY} polls were not enough");
    }
}

async fn killed_everywhere(
    scene: &Scene,
    before: Option<PaymentState>,
    work: impl AsyncFn(&Scene, &Order),
    after: PaymentState,
    announced: &[&str],
    ledger: &[&str],
) {
    let interrupted = Interrupted { scene, before, work, after, announced, ledger };
    for _ in 0..ROUNDS {
        if interrupted.everywhere().await > 2 {
            return;
        }
    }
    panic!("it was never killed in between");
}

#[tokio::test]
async fn stock_decreased() {
    let scene = Scene::new().await;
    let work = async |scene: &Scene, order: &Order| {
        // Redelivered: another run of the consumer over the same record.
        scene.deliver(&order.stock_decreased()).await.unwrap();
    };
    killed_everywhere(&scene, None, work, Requested, &[], &[]).await;
}

#[tokio::test]
async fn order_cancellation_requested() {
    let scene = Scene::new().await;
    let work = async |scene: &Scene, order: &Order| {
        scene.deliver(&order.cancellation_requested()).await.unwrap();
    };
    let cancelled = &["PaymentCancelled"];
    killed_everywhere(&scene, None, work, Cancelled, cancelled, &[]).await;
    killed_everywhere(&scene, Some(Requested), work, CancelRequested, &[], &[]).await;
    let both = &["PaymentCreated", "PaymentCancelled"];
    killed_everywhere(&scene, Some(Pending), work, Cancelled, both, &["authorised"]).await;
}

#[tokio::test]
async fn process_payment() {
    let scene = Scene::new().await;
    let request_ids = tokio::sync::Mutex::new(std::collections::HashMap::new());
    let work = async |scene: &Scene, order: &Order| {
        let request_id =
            *request_ids.lock().await.entry(order.order_id).or_insert_with(Uuid::now_v7);
        let payment_id = scene.payment(order.order_id).await.payment_id;
        scene.process(payment_id, Some(request_id)).await.unwrap();
    };
    let announced = &["PaymentCreated", "PaymentProcessed"];
    killed_everywhere(&scene, Some(Pending), work, Paid, announced, &["authorised"]).await;
}

#[tokio::test]
async fn the_worker_authorises_once_and_announces_once() {
    let scene = Scene::new().await;
    let work = async |scene: &Scene, order: &Order| scene.settle(order.order_id).await.unwrap();
    let created = &["PaymentCreated"];
    killed_everywhere(&scene, Some(Requested), work, Pending, created, &["authorised"]).await;
}

#[tokio::test]
async fn the_worker_captures_once() {
    let scene = Scene::new().await;
    let work = async |scene: &Scene, order: &Order| scene.settle(order.order_id).await.unwrap();
    let announced = &["PaymentCreated", "PaymentProcessed"];
    let ledger = &["authorised", "captured"];
    killed_everywhere(&scene, Some(Paid), work, Paid, announced, ledger).await;
}

#[tokio::test]
async fn the_worker_voids_once_and_announces_once() {
    let scene = Scene::new().await;
    let work = async |scene: &Scene, order: &Order| scene.settle(order.order_id).await.unwrap();
    let cancelled = &["PaymentCancelled"];
    killed_everywhere(&scene, Some(CancelRequested), work, Cancelled, cancelled, &["voided"]).await;
    let both = &["PaymentCreated", "PaymentCancelled"];
    let ledger = &["authorised", "voided"];
    killed_everywhere(&scene, Some(Cancelled), work, Cancelled, both, ledger).await;
}

#[tokio::test]
async fn an_answer_lost_before_its_commit_is_asked_for_again() {
    let scene = Scene::new().await;
    let order = scene.order_in(Requested).await;
    let payment = scene.payment(order.order_id).await;
    use payments::provider::Provider as _;
    scene.provider.authorise(&(&payment).into()).await.unwrap();
    scene.settle(order.order_id).await.unwrap();
    scene.settle(order.order_id).await.unwrap();
    assert_eq!(scene.ledger(order.order_id).await, ["authorised"]);
    assert_eq!(scene.announced_names(order.order_id).await, ["PaymentCreated"]);
}
