//! The seed data: through the outbox, once.

use proto::{Currency, Event as _, store::stock::events::v1::StockEvent};
use store_manager::service::migrate;

use crate::scene::{GADGET, KEYBOARD, LAPTOP, Scene};

#[tokio::test]
async fn the_seed_data_goes_through_the_outbox() {
    let scene = Scene::new().await;
    let on_hand =
        [scene.on_hand(LAPTOP).await, scene.on_hand(KEYBOARD).await, scene.on_hand(GADGET).await];
    assert_eq!(on_hand, [1_000, 500, 2]);
    let announced = scene.announced(LAPTOP).await;
    let names: Vec<_> = announced.iter().map(crate::scene::Announced::name).collect();
    assert_eq!(names, ["ProductCreated", "StockSet"]);
    assert_eq!(announced[1].topic, StockEvent::TOPIC);
}

#[tokio::test]
async fn a_second_migration_writes_nothing_and_what_was_deleted_stays_deleted() {
    let scene = Scene::new().await;
    scene.remove(GADGET).await;
    let before = scene.everything().await;
    migrate(&scene.pool, Currency::CAD).await.unwrap();
    assert_eq!(scene.everything().await, before);
}
