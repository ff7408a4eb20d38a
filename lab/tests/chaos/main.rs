//! Everything is broken under a load of orders, and every promise holds; a broken promise is seen.
//!
//! A program of its own whose tests take turns, so that nothing else runs beside what is broken: it has to come back in time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet, fs, io::Write as _, path::Path, path::PathBuf, sync::Arc, time::Duration,
};

use futures::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use lab::{
    campaign::Delivery,
    chaos::{
        ChaosError, Coverage, Failure, Fault, Lane, Plan, Report, Struck, World, covering, faults,
        round, shrink,
    },
    invariants::Invariant,
    stack::Stack,
};
use rand::rngs::StdRng;
use sqlx::{Connection, PgConnection};
use tokio::{sync::Mutex, time::sleep};

/// Whose turn it is.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Rounds that have every fault between them.
const ROUNDS: u64 = 4;

/// The first seed, or the one that `LAB_SEED` gives back.
fn seed() -> u64 {
    std::env::var("LAB_SEED").map_or(1, |seed| seed.parse().unwrap())
}

/// What bad rounds have left behind so far.
fn kept() -> BTreeSet<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("chaos");
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

async fn play(plans: &[Plan]) -> Vec<Report> {
    let stack = Stack::shared().await.unwrap();
    let rounds = stream::iter(plans).then(|plan| Box::pin(round(stack, plan)));
    rounds.inspect(|report| println!("{report}")).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_broken_at_whichever_step_every_promise_holds() {
    let _turn = ALONE.lock().await;
    let reports = play(&covering(seed(), ROUNDS).unwrap()).await;
    let mut coverage = Coverage::default();
    reports.iter().for_each(|report| coverage.merge(&report.coverage));
    // What nobody came by in time, since others kept its process down, has a round by itself.
    let alone: Vec<_> = coverage
        .not_reached()
        .iter()
        .map(|name| Plan::with(seed(), Delivery::ExactlyOnce, vec![faults::named(name).unwrap()]))
        .collect();
    let alone = play(&alone).await;
    alone.iter().for_each(|report| coverage.merge(&report.coverage));
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos.txt"), coverage.to_string())
        .unwrap();
    let bad = reports.iter().chain(&alone).filter(|report| !report.is_good()).count();
    assert_eq!(bad, 0, "rounds are bad, see above");
    assert!(coverage.not_reached().is_empty(), "never reached: {:?}", coverage.not_reached());
    let is_judged_as_once = |report: &&Report| {
        report.plan.delivery == Delivery::ExactlyOnce
            && report.audited().is_some_and(|audited| !audited.kafka_hangs)
    };
    let judged = reports.iter().chain(&alone).filter(is_judged_as_once).count();
    assert!(judged > 0, "Kafka left a transaction hanging in every round that was exactly once");
}

/// Not a fault that a store must stand: an amount is changed behind its back.
#[derive(Debug)]
struct Forged;

impl Fault for Forged {
    fn name(&self) -> String {
        "payment.forged".to_owned()
    }

    fn lane(&self) -> Lane {
        Lane::Servers
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        _: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        async move {
            let mut payments = PgConnection::connect(world.system().payments_database()).await?;
            let forge = "UPDATE payments.payments SET amount_minor = amount_minor + 1
                WHERE payment_id = (
                    SELECT min(payment_id::text)::uuid FROM payments.payments WHERE state = 'pending'
                )";
            while sqlx::query(forge).execute(&mut payments).await?.rows_affected() == 0 {
                sleep(Duration::from_millis(20)).await;
            }
            Ok(Struck::Yes("one".to_owned()))
        }
        .boxed_local()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_promise_is_seen_and_what_does_not_matter_is_left_out() {
    let _turn = ALONE.lock().await;
    let before = kept();
    let harmless = ["callers-payments.reset", "payments.stopped"].map(faults::named);
    let mut faults: Vec<Arc<dyn Fault>> = harmless.into_iter().map(Result::unwrap).collect();
    faults.insert(1, Arc::new(Forged));
    let report = play(&[Plan::with(seed(), Delivery::AtLeastOnce, faults)]).await.remove(0);
    let page = report.to_string();
    assert_eq!(report.failures(), BTreeSet::from([Failure::Broken(Invariant(7))]), "{page}");
    for part in
        ["A PROMISE IS BROKEN", "event   PaymentCreated", "caller  CreateOrder", "again: lab chaos"]
    {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let mut smallest = report;
    let broken_off = shrink(Stack::shared().await.unwrap(), &mut smallest).await;
    assert!(broken_off.is_empty(), "{broken_off:?}");
    let names: Vec<_> = smallest.plan.strikes.iter().map(|strike| strike.fault.name()).collect();
    assert_eq!(names, ["payment.forged"]);
    kept().difference(&before).for_each(|directory| fs::remove_dir_all(directory).unwrap());
}

/// A fault that ends nowhere: what it does to the relay's log has the keeping of the round ask Kafka too.
#[derive(Debug)]
struct Impossible;

impl Fault for Impossible {
    fn name(&self) -> String {
        "payments.impossible".to_owned()
    }

    fn lane(&self) -> Lane {
        Lane::Payments
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        _: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        async move {
            let log = world.system().relay.log();
            let mut log = fs::File::options().append(true).open(log)?;
            writeln!(log, "the progress topic has had an undecided transaction for 20 s")?;
            world.system().payments.kill().await;
            Err(ChaosError::Missing("way back"))
        }
        .boxed_local()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_cannot_be_played_to_its_end_is_bad_and_everything_about_it_is_kept() {
    let _turn = ALONE.lock().await;
    let before = faults::named("payments.stopped").unwrap();
    let plan = Plan::with(seed(), Delivery::ExactlyOnce, vec![before, Arc::new(Impossible)]);
    let report = play(&[plan]).await.remove(0);
    assert!(!report.is_good() && !report.has_failed());
    let page = report.to_string();
    for part in [
        "not played to its end: fault `payments.impossible` cannot be carried out or healed: the system has no way back",
        "payments.stopped: ",
        "--fault payments.stopped --fault payments.impossible",
        "logs and history: ",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let kept = report.kept.unwrap().unwrap();
    let read = |name: &str| fs::read_to_string(kept.join(name)).expect(name);
    for log in ["store-manager", "payments", "outbox-relay", "kafka", "postgres"] {
        assert!(!read(&format!("{log}.log")).is_empty());
    }
    assert_eq!(read("history.jsonl").lines().count(), report.calls);
    let transactions = read("transactions.txt");
    for part in ["TransactionalId", "ProducerId", "kafka-transactions find-hanging --broker-id 1"] {
        assert!(transactions.contains(part), "{part} is not in\n{transactions}");
    }
    assert!(!transactions.contains("ended with"), "{transactions}");
    fs::remove_dir_all(kept).unwrap();
}
