//! A [`System`]: apart from others, breakable, and back on its old address.

use lab::{stack::Stack, system::System};
use proto::store::users::v1::{ListUsersRequest, user_service_client::UserServiceClient};

#[tokio::test]
async fn a_killed_service_comes_back_on_its_address_with_its_data() {
    let system = System::start(Stack::shared().await.unwrap()).await.unwrap();
    let mut users = UserServiceClient::new(system.store_manager.channel());
    let before = users.list_users(ListUsersRequest::default()).await.unwrap().into_inner().users;
    assert!(!before.is_empty(), "the seed data is missing");

    system.store_manager.kill().await;
    assert!(!system.store_manager.is_running().await);
    assert!(users.list_users(ListUsersRequest::default()).await.is_err());

    system.store_manager.start().await.unwrap();
    let after = users.list_users(ListUsersRequest::default()).await.unwrap().into_inner().users;
    assert_eq!(after, before);
    for service in [&system.store_manager, &system.payments, &system.relay] {
        let (status, metrics) = service.admin("/metrics").await.unwrap();
        assert_eq!((status, metrics.is_empty()), (200, false));
        service.stop().await.unwrap();
    }
}
