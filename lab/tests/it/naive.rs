//! Stores that are broken on purpose are caught, each with the invariant that it breaks; and without its flaw the same store
//! is found good.

use std::{collections::BTreeSet, env, fs, path::Path};

use lab::{
    audit::{Snapshot, Sources, audit},
    campaign::Delivery,
    invariants::Invariant,
    lost_window,
    naive::{Armed, Flaw, NaiveShop, Place},
    stack::Stack,
};
use proto::store::{
    orders::v1::{
        CreateOrderRequest, create_order_request::Line, order_service_client::OrderServiceClient,
    },
    stock::v1::{AdjustStockRequest, stock_service_client::StockServiceClient},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tonic::Status;
use uuid::{Builder, Uuid};

use crate::scenarios::{ADA, product};

/// Above this the provider refuses.
const LIMIT_MINOR: i64 = 100_000;

/// A test's own seed, or the one that `LAB_SEED` gives back.
fn seed_or(seed: u64) -> u64 {
    env::var("LAB_SEED").map_or(seed, |seed| seed.parse().unwrap())
}

/// A tiny store, and the orders that a seed draws for it.
struct Naive {
    shop: NaiveShop,
    flaw: Flaw,
    seed: u64,
    random: StdRng,
}

impl Naive {
    async fn open(flaw: Flaw, seed: u64) -> Self {
        let seed = seed_or(seed);
        println!("LAB_SEED={seed}: {}", flaw.name());
        let stack = Stack::shared().await.unwrap();
        let shop = NaiveShop::open(stack, flaw).await.unwrap().declining_above(LIMIT_MINOR);
        Self { shop, flaw, seed, random: StdRng::seed_from_u64(seed) }
    }

    /// An order's id, which is its request's.
    fn id(&mut self) -> Uuid {
        Builder::from_unix_timestamp_millis(1_790_000_000_000, &self.random.random()).into_uuid()
    }

    /// Places an order of some keyboards.
    async fn place(&mut self, order_id: Uuid) -> Result<(), Status> {
        let quantity = self.random.random_range(1..=5);
        self.order(order_id, 2, quantity).await
    }

    async fn order(&self, order_id: Uuid, number: u8, quantity: i32) -> Result<(), Status> {
        let request = CreateOrderRequest {
            user_id: ADA.to_owned(),
            lines: vec![Line { product_id: product(number), quantity }],
            request_id: order_id.to_string(),
        };
        let mut orders = OrderServiceClient::new(self.shop.channel());
        orders.create_order(request).await.map(drop)
    }

    /// Some orders with which nothing happens, in a life that ends when all is quiet. Answers what is broken already.
    async fn some_orders(&mut self) -> BTreeSet<Invariant> {
        self.shop.start(None).await.unwrap();
        for _ in 0..self.random.random_range(1..=4) {
            let order_id = self.id();
            self.place(order_id).await.unwrap();
        }
        self.rests().await;
        self.shop.kill().await;
        let broken = self.broken().await;
        self.shop.kill().await;
        broken
    }

    /// A life that ends at `place` with an order of its own.
    async fn dies_at(&mut self, place: Place) {
        let order_id = self.id();
        self.shop.start(Some(Armed { place, order_id })).await.unwrap();
        // The caller has an answer or none, depending on the place.
        let _ = self.place(order_id).await;
        self.shop.dies().await.unwrap();
    }

    async fn rests(&self) {
        self.shop.rests().await.unwrap();
    }

    /// Two adjustments of one product at once: the first has appended its event, and is not committed before the second is
    /// done or cannot go on.
    async fn two_adjustments(&mut self) {
        self.shop.start_waiting_at(Place::AdjustmentAppended).await.unwrap();
        let mut hold = self.shop.hold().await.unwrap();
        let (first, second) = (self.adjustment(), self.adjustment());
        let first = async { first.await.unwrap() };
        let later = async {
            hold.until_waiting(1).await.unwrap();
            let mut second = Box::pin(second);
            let ended = tokio::select! {
                ended = &mut second => Some(ended),
                // The first waits for the hold, the second for the first.
                waiting = hold.until_waiting(2) => { waiting.unwrap(); None }
            };
            if ended.is_some() {
                hold.until_published().await.unwrap();
            }
            hold.let_go().await.unwrap();
            match ended {
                Some(ended) => ended.unwrap(),
                None => second.await.unwrap(),
            }
        };
        tokio::join!(first, later);
        self.rests().await;
        self.shop.kill().await;
    }

    fn adjustment(&self) -> impl Future<Output = Result<(), Status>> + use<> {
        let mut stock = StockServiceClient::new(self.shop.channel());
        let request = AdjustStockRequest {
            product_id: product(4),
            quantity_delta: 3,
            request_id: String::new(),
        };
        async move { stock.adjust_stock(request).await.map(drop) }
    }

    /// What the auditor finds broken once everything has come to rest in a last life.
    async fn broken(&mut self) -> BTreeSet<Invariant> {
        self.shop.start(None).await.unwrap();
        self.rests().await;
        let sources = Sources {
            store_manager: self.shop.orders().to_owned(),
            payments: self.shop.payments().to_owned(),
            brokers: self.shop.brokers().to_owned(),
        };
        let snapshot = Snapshot::read(&sources).await.unwrap();
        let verdicts = audit(&snapshot, None, Delivery::AtLeastOnce);
        let broken = verdicts.iter().filter(|verdict| !verdict.holds());
        broken.inspect(|verdict| println!("{verdict}")).map(|verdict| verdict.invariant).collect()
    }
}

/// What the auditor finds broken must be just `wanted`, besides what was so `before` anything went wrong; says so in a file.
fn is_caught(
    naive: &Naive,
    broken: &BTreeSet<Invariant>,
    before: &BTreeSet<Invariant>,
    wanted: &[u8],
) {
    let (name, seed) = (naive.flaw.name(), naive.seed);
    note(name, seed, broken.difference(before));
    let wanted: BTreeSet<_> = wanted.iter().copied().map(Invariant).collect();
    assert_eq!(broken.difference(before).copied().collect::<BTreeSet<_>>(), wanted);
}

/// What a control was caught with: `.ci/run` prints it.
fn note<'a>(name: &str, seed: u64, caught: impl Iterator<Item = &'a Invariant>) {
    let caught: Vec<_> = caught.map(ToString::to_string).collect();
    let line = format!("{name}, LAB_SEED={seed}: caught with {}\n", caught.join(" "));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("control-{name}.txt"));
    fs::write(file, line).unwrap();
}

/// Without an inbox every event that payments reads counts as not handled, though all may be well with it.
fn without_inbox() -> BTreeSet<Invariant> {
    BTreeSet::from([Invariant(4)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_commits_and_then_publishes_is_caught_losing_and_charging_twice() {
    let mut naive = Naive::open(Flaw::DualWrite, 21).await;
    let before = naive.some_orders().await;
    assert_eq!(before, without_inbox());
    naive.dies_at(Place::OrderCommitted).await;
    naive.dies_at(Place::StockCommitted).await;
    naive.dies_at(Place::PaymentCommitted).await;
    let broken = naive.broken().await;
    is_caught(&naive, &broken, &before, &[1, 3, 5, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_commits_the_offset_first_is_caught_losing_effects() {
    let mut naive = Naive::open(Flaw::OffsetFirst, 22).await;
    let before = naive.some_orders().await;
    assert_eq!(before, BTreeSet::new());
    naive.dies_at(Place::StockOffset).await;
    naive.dies_at(Place::PaymentOffset).await;
    let broken = naive.broken().await;
    is_caught(&naive, &broken, &before, &[4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_an_inbox_is_caught_taking_stock_twice_and_charging_twice() {
    let mut naive = Naive::open(Flaw::NoInbox, 23).await;
    let before = naive.some_orders().await;
    assert_eq!(before, without_inbox());
    naive.dies_at(Place::StockCommitted).await;
    naive.dies_at(Place::PaymentCommitted).await;
    let broken = naive.broken().await;
    is_caught(&naive, &broken, &before, &[6, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_appends_before_it_locks_is_caught_reordering() {
    let mut naive = Naive::open(Flaw::Unlocked, 24).await;
    let before = naive.some_orders().await;
    assert_eq!(before, BTreeSet::new());
    naive.two_adjustments().await;
    let broken = naive.broken().await;
    is_caught(&naive, &broken, &before, &[3, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_gives_stock_back_twice_is_caught_having_too_much() {
    let mut naive = Naive::open(Flaw::RestocksTwice, 25).await;
    let before = naive.some_orders().await;
    assert_eq!(before, BTreeSet::new());
    naive.shop.start(None).await.unwrap();
    let order_id = naive.id();
    naive.order(order_id, 1, 1).await.unwrap();
    naive.rests().await;
    naive.shop.kill().await;
    let broken = naive.broken().await;
    is_caught(&naive, &broken, &before, &[6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_flaws_the_same_store_is_found_good() {
    let mut naive = Naive::open(Flaw::Sound, 26).await;
    assert_eq!(naive.some_orders().await, BTreeSet::new());
    for place in [Place::OrderCommitted, Place::StockCommitted, Place::PaymentCommitted] {
        naive.dies_at(place).await;
    }
    naive.two_adjustments().await;
    naive.shop.start(None).await.unwrap();
    let order_id = naive.id();
    naive.order(order_id, 1, 1).await.unwrap();
    naive.rests().await;
    naive.shop.kill().await;
    assert_eq!(naive.broken().await, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_commits_and_events_only_the_store_without_an_outbox_loses() {
    let seed = seed_or(27);
    println!("LAB_SEED={seed}");
    let stack = Stack::shared().await.unwrap();
    let report = Box::pin(lost_window::play(stack, seed, 30)).await.unwrap();
    println!("{report}");
    let outbox = &report.outbox;
    assert!(outbox.is_whole(), "{:?}", outbox.verdicts);
    assert_eq!(outbox.tally.orders, 30);
    let dual_write = &report.dual_write;
    let tally = dual_write.tally;
    assert!(tally.lost > 0 && tally.stuck > 0 && tally.charged_twice > 0, "{tally:?}");
    let broken: BTreeSet<_> = dual_write.broken().collect();
    let before = without_inbox();
    note("lost-window", seed, broken.difference(&before));
    assert_eq!(broken, [1, 3, 4, 5, 7].map(Invariant).into());
}
