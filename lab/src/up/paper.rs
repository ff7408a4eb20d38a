//! What `lab up` prints when all is well: where everything is, and what can be pasted.

use std::{io, path::Path};

use super::{journey::Ending, store::Store};
use crate::output::say;

/// Prints addresses and grpcurl commands.
pub(super) fn print_addresses(store: &Store, ending: &Ending, logs: &Path) -> io::Result<()> {
    let [store_manager, payments, relay] = store.services();
    say(format!(
        "store-manager  gRPC {}  admin http://{}",
        store_manager.grpc_address(),
        store_manager.admin_address()
    ))?;
    say(format!(
        "payments       gRPC {}  admin http://{}",
        payments.grpc_address(),
        payments.admin_address()
    ))?;
    say(format!("outbox-relay                        admin http://{}", relay.admin_address()))?;
    say(format!("PostgreSQL     {}", store.stack().postgres_url("store_manager")))?;
    say(format!("               {}", store.stack().postgres_url("payments")))?;
    say(format!("Kafka          {}", store.brokers()))?;
    say(format!("data           {}", store.stack().directory().display()))?;
    say(format!("logs           {}", logs.display()))?;
    say("\nTo paste:\n")?;
    commands(store, ending).iter().try_for_each(|command| say(format!("{command}\n")))?;
    say("Ctrl-C stops everything.")
}

fn commands(store: &Store, ending: &Ending) -> Vec<String> {
    let order = &ending.order;
    let product_id = order.lines.first().map(|line| line.product_id.as_str()).unwrap_or_default();
    let orders = store.store_manager().grpc_address();
    let payments = store.payments().grpc_address();
    let call = |address, body: String, method| {
        format!("grpcurl -plaintext -d '{body}' {address} {method}")
    };
    let of_order = || format!(r#"{{"order_id": "{}"}}"#, order.order_id);
    vec![
        call(
            orders,
            format!(
                r#"{{"user_id": "{}", "lines": [{{"product_id": "{product_id}", "quantity": 2}}]}}"#,
                order.user_id
            ),
            "store.orders.v1.OrderService/CreateOrder",
        ),
        call(orders, of_order(), "store.orders.v1.OrderService/WatchOrder"),
        call(
            payments,
            format!(r#"{{"payment_id": "{}"}}"#, order.payment_id),
            "store.payments.v1.PaymentService/ProcessPayment",
        ),
        call(orders, of_order(), "store.orders.v1.OrderService/GetOrder"),
        format!("grpcurl -plaintext {orders} store.stock.v1.StockService/ListStock"),
        format!("grpcurl -plaintext {orders} list"),
    ]
}
