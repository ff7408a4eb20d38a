//! The worker as it runs: woken, restarted, with a provider that fails.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use payments::{
    domain::PaymentState::{Cancelled, Paid, Pending, Requested},
    provider::{Authorisation, Charge, Provider, ProviderError, SimulatedProvider},
    worker::{Worker, WorkerOptions},
};
use runtime::{Shutdown, Tasks};

use crate::scene::{Order, Scene, eventually, provider_options};

fn options() -> WorkerOptions {
    WorkerOptions { provider_concurrency: 4, provider_timeout_ms: 500, provider_rescan_ms: 60_000 }
}

/// A provider in front of the simulated one that fails, or does not answer, so many times before and after doing as asked.
#[derive(Clone)]
struct Flaky {
    inner: Arc<SimulatedProvider>,
    before: Arc<AtomicUsize>,
    after: Arc<AtomicUsize>,
    silent: Arc<AtomicUsize>,
}

impl Flaky {
    fn new(scene: &Scene, before: usize, after: usize, silent: usize) -> Self {
        Self {
            inner: Arc::new(SimulatedProvider::new(scene.pool.clone(), &provider_options())),
            before: Arc::new(AtomicUsize::new(before)),
            after: Arc::new(AtomicUsize::new(after)),
            silent: Arc::new(AtomicUsize::new(silent)),
        }
    }

    async fn maybe<T>(
        &self,
        answer: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        take(&self.before)?;
        let answer = answer.await;
        take(&self.after)?;
        if take(&self.silent).is_err() {
            std::future::pending::<()>().await;
        }
        answer
    }
}

/// Fails and counts down, until none is left.
fn take(failures: &AtomicUsize) -> Result<(), ProviderError> {
    let left =
        failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    match left {
        Ok(_) => Err(ProviderError::Unavailable(io::Error::other("connection reset").into())),
        Err(_) => Ok(()),
    }
}

impl Provider for Flaky {
    async fn authorise(&self, charge: &Charge) -> Result<Authorisation, ProviderError> {
        self.maybe(self.inner.authorise(charge)).await
    }

    async fn capture(&self, charge: &Charge) -> Result<(), ProviderError> {
        self.maybe(self.inner.capture(charge)).await
    }

    async fn void(&self, charge: &Charge) -> Result<(), ProviderError> {
        self.maybe(self.inner.void(charge)).await
    }
}

/// Runs a worker while `scenario` plays.
async fn with_worker(
    scene: &Scene,
    provider: impl Provider,
    options: WorkerOptions,
    scenario: impl AsyncFnOnce(),
) {
    let worker = Worker::new(
        scene.pool.clone(),
        provider,
        Arc::clone(&scene.wake),
        options,
        scene.metrics.clone(),
    );
    let shutdown = Shutdown::new();
    let play = async {
        scenario().await;
        shutdown.request();
    };
    let (ended, ()) = tokio::join!(worker.run(shutdown.clone()), play);
    ended.unwrap();
}

async fn settled(scene: &Scene, order: &Order) -> bool {
    scene.payment(order.order_id).await.owed_call().is_none()
}

#[tokio::test]
async fn a_commit_wakes_the_worker_and_nothing_waits_for_its_clock() {
    let scene = Scene::new().await;
    let provider = Flaky::new(&scene, 0, 0, 0);
    with_worker(&scene, provider, options(), async || {
        let order = Order::new();
        let begun = Instant::now();
        scene.deliver(&order.stock_decreased()).await.unwrap();
        eventually("pending", async || scene.payment(order.order_id).await.state == Pending).await;
        scene.process(scene.payment(order.order_id).await.payment_id, None).await.unwrap();
        eventually("captured", async || settled(&scene, &order).await).await;
        assert_eq!(scene.ledger(order.order_id).await, ["authorised", "captured"]);
        let other = scene_cancelled(&scene).await;
        eventually("voided", async || settled(&scene, &other).await).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "the clock ticks once a minute");
    })
    .await;
}

async fn scene_cancelled(scene: &Scene) -> Order {
    let order = Order::new();
    scene.deliver(&order.stock_decreased()).await.unwrap();
    eventually("pending", async || scene.payment(order.order_id).await.state == Pending).await;
    scene.deliver(&order.cancellation_requested()).await.unwrap();
    assert_eq!(scene.payment(order.order_id).await.state, Cancelled);
    order
}

#[tokio::test]
async fn a_worker_that_starts_finds_what_its_predecessor_left() {
    let scene = Scene::new().await;
    let (requested, paid, cancelled) = (
        scene.order_in(Requested).await,
        scene.order_in(Paid).await,
        scene.order_in(Cancelled).await,
    );
    with_worker(&scene, Flaky::new(&scene, 0, 0, 0), options(), async || {
        for order in [requested, paid, cancelled] {
            eventually("settled", async || settled(&scene, &order).await).await;
        }
    })
    .await;
    assert_eq!(scene.payment(requested.order_id).await.state, Pending);
    assert_eq!(scene.ledger(paid.order_id).await, ["authorised", "captured"]);
    assert_eq!(scene.ledger(cancelled.order_id).await, ["authorised", "voided"]);
}

#[tokio::test]
async fn a_provider_that_fails_is_asked_again_until_it_answers_and_charges_once() {
    let scene = Scene::new().await;
    let provider = Flaky::new(&scene, 2, 2, 2);
    let options = WorkerOptions { provider_rescan_ms: 20, ..options() };
    with_worker(&scene, provider, options, async || {
        let order = Order::new();
        scene.deliver(&order.stock_decreased()).await.unwrap();
        eventually("pending", async || scene.payment(order.order_id).await.state == Pending).await;
        assert_eq!(scene.announced_names(order.order_id).await, ["PaymentCreated"]);
        assert_eq!(scene.ledger(order.order_id).await, ["authorised"]);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_never_returns_holds_up_no_other_payment() {
    let scene = Scene::new().await;
    let provider = Flaky::new(&scene, 0, 0, 3);
    let options = WorkerOptions { provider_timeout_ms: 20_000, ..options() };
    let worker = Worker::new(
        scene.pool.clone(),
        provider.clone(),
        Arc::clone(&scene.wake),
        options,
        scene.metrics.clone(),
    );
    let shutdown = Shutdown::new();
    let play = async {
        for _ in 0..3 {
            scene.deliver(&Order::new().stock_decreased()).await.unwrap();
        }
        let stuck = async || provider.silent.load(Ordering::SeqCst) == 0;
        eventually("three calls hang", stuck).await;
        for _ in 0..10 {
            let order = Order::new();
            scene.deliver(&order.stock_decreased()).await.unwrap();
            eventually("pending", async || scene.payment(order.order_id).await.state == Pending)
                .await;
        }
    };
    // Dropped with its calls still open, as when the process is killed.
    tokio::select! {
        _ = worker.run(shutdown) => unreachable!("nobody asked it to stop"),
        () = play => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_work_through_a_backlog_together_and_announce_each_payment_once() {
    let scene = Scene::new().await;
    let mut orders = Vec::new();
    for _ in 0..200 {
        let order = Order::new();
        scene.deliver(&order.stock_decreased()).await.unwrap();
        orders.push(order);
    }
    let mut tasks = Tasks::new();
    for _ in 0..2 {
        let worker = Worker::new(
            scene.pool.clone(),
            Flaky::new(&scene, 5, 5, 0),
            Arc::clone(&scene.wake),
            WorkerOptions { provider_rescan_ms: 20, ..options() },
            scene.metrics.clone(),
        );
        tasks.spawn("worker", worker.run(tasks.shutdown()));
    }
    let shutdown = tasks.shutdown();
    let play = async {
        for order in &orders {
            eventually("settled", async || settled(&scene, order).await).await;
        }
        shutdown.request();
    };
    let (ended, ()) = tokio::join!(tasks.run(Duration::from_secs(10)), play);
    ended.unwrap();
    for order in &orders {
        assert_eq!(scene.announced_names(order.order_id).await, ["PaymentCreated"]);
        assert_eq!(scene.ledger(order.order_id).await, ["authorised"]);
    }
}
