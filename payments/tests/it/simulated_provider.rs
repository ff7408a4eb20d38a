//! The simulated provider and its ledger.

use futures::future::join_all;
use payments::provider::{Authorisation, Charge, Provider as _, ProviderError, SimulatedProvider};
use proto::{Currency, Money, OrderId, PaymentId, UserId};

use crate::scene::{DECLINE_ABOVE_MINOR, Scene, provider_options};

fn charge(amount_minor: i64) -> Charge {
    Charge {
        payment_id: PaymentId::new(),
        order_id: OrderId::new(),
        user_id: UserId::new(),
        amount: Money::new(amount_minor, Currency::CAD),
    }
}

#[tokio::test]
async fn every_call_repeated_answers_the_same_and_adds_nothing() {
    let scene = Scene::new().await;
    let paid = charge(100);
    let first = scene.provider.authorise(&paid).await.unwrap();
    assert!(matches!(first, Authorisation::Accepted { .. }));
    for _ in 0..2 {
        scene.provider.capture(&paid).await.unwrap();
        assert_eq!(scene.provider.authorise(&paid).await.unwrap(), first);
    }
    assert_eq!(scene.ledger(paid.order_id).await, ["authorised", "captured"]);

    let cancelled = charge(100);
    scene.provider.authorise(&cancelled).await.unwrap();
    for _ in 0..2 {
        scene.provider.void(&cancelled).await.unwrap();
    }
    assert_eq!(scene.ledger(cancelled.order_id).await, ["authorised", "voided"]);
}

#[tokio::test]
async fn amounts_above_the_limit_and_users_on_the_list_are_declined() {
    let scene = Scene::new().await;
    let (cheap, dear) = (charge(DECLINE_ABOVE_MINOR), charge(DECLINE_ABOVE_MINOR + 1));
    let authorise = async |charge| scene.provider.authorise(charge).await.unwrap();
    assert!(matches!(authorise(&cheap).await, Authorisation::Accepted { .. }));
    let declined = authorise(&dear).await;
    assert!(matches!(declined, Authorisation::Refused { .. }));

    let mut options = provider_options();
    options.provider_decline_above_minor = None;
    options.provider_decline_users = vec![cheap.user_id];
    let provider = SimulatedProvider::new(scene.pool.clone(), &options);
    let another = Charge { payment_id: PaymentId::new(), ..cheap.clone() };
    let answer = provider.authorise(&another).await.unwrap();
    assert!(matches!(answer, Authorisation::Refused { .. }));
    assert_eq!(provider.authorise(&dear).await.unwrap(), declined, "as it was answered first");
}

#[tokio::test]
async fn what_is_voided_first_is_never_held() {
    let scene = Scene::new().await;
    let charge = charge(100);
    scene.provider.void(&charge).await.unwrap();
    let answer = scene.provider.authorise(&charge).await.unwrap();
    assert!(matches!(answer, Authorisation::Refused { .. }));
    let captured = scene.provider.capture(&charge).await;
    assert!(matches!(captured, Err(ProviderError::Contradiction(_))));
    assert_eq!(scene.ledger(charge.order_id).await, ["voided"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_captures_and_voids_at_once_one_kind_wins_and_is_written_once() {
    let scene = Scene::new().await;
    for _ in 0..20 {
        let charge = charge(100);
        scene.provider.authorise(&charge).await.unwrap();
        let captures = join_all((0..3).map(|_| scene.provider.capture(&charge)));
        let voids = join_all((0..3).map(|_| scene.provider.void(&charge)));
        let (captured, voided) = tokio::join!(captures, voids);
        let count = |results: &[Result<(), ProviderError>]| {
            results.iter().filter(|result| result.is_ok()).count()
        };
        let last = match (count(&captured), count(&voided)) {
            (3, 0) => "captured",
            (0, 3) => "voided",
            counts => panic!("{counts:?}"),
        };
        assert_eq!(scene.ledger(charge.order_id).await, ["authorised", last]);
    }
}
