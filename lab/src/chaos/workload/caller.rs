//! One caller: does what its seed says, asks again where it was not told, and notes everything.

use std::time::Duration;

use futures::future::join_all;
use proto::{
    Currency, Money,
    store::{
        catalog::v1::{
            CreateProductRequest, DeleteProductRequest,
            product_service_client::ProductServiceClient,
        },
        orders::v1::{
            CancelOrderRequest, CreateOrderRequest, GetOrderRequest, create_order_request,
            order::State, order_service_client::OrderServiceClient,
        },
        payments::v1::{ProcessPaymentRequest, payment_service_client::PaymentServiceClient},
        stock::v1::{
            AdjustStockRequest, SetStockRequest, stock_service_client::StockServiceClient,
        },
        users::v1::{
            CreateUserRequest, DeleteUserRequest, user::Type,
            user_service_client::UserServiceClient,
        },
    },
};
use tokio::time::{sleep, timeout};
use tonic::{Request, Response, Status, transport::Channel};
use uuid::Uuid;

use super::{
    Act, Acts, Patience, Recorder,
    acts::{Trial, Wanted},
};
use crate::{
    chaos::{ChaosError, World},
    history::{Answer, Command, Line, Reply},
    processes::Program,
};

/// How often a caller acts after the last fault.
const ACTS_AFTER: usize = 8;
const USUAL: Patience = Patience { deadline: Duration::from_secs(4), calls: 3 };
/// At how many orders a caller looks for one that can be paid.
const LOOKED_AT: usize = 12;
const BETWEEN_CALLS: Duration = Duration::from_millis(50);

/// Somebody who calls.
pub(super) struct Caller<'a> {
    recorder: &'a Recorder,
    acts: Acts,
    orders: OrderServiceClient<Channel>,
    stock: StockServiceClient<Channel>,
    products: ProductServiceClient<Channel>,
    users: UserServiceClient<Channel>,
    payments: PaymentServiceClient<Channel>,
}

impl<'a> Caller<'a> {
    /// Caller `number` of the round of `seed`.
    pub(super) fn new(world: &'a World, seed: u64, number: usize) -> Result<Self, ChaosError> {
        let store_manager = world.channel(Program::StoreManager)?;
        Ok(Self {
            recorder: &world.recorder,
            acts: Acts::new(seed, number),
            orders: OrderServiceClient::new(store_manager.clone()),
            stock: StockServiceClient::new(store_manager.clone()),
            products: ProductServiceClient::new(store_manager.clone()),
            users: UserServiceClient::new(store_manager),
            payments: PaymentServiceClient::new(world.channel(Program::Payments)?),
        })
    }

    /// Acts until the last fault, and a little longer.
    pub(super) async fn live(mut self) -> Result<(), ChaosError> {
        let mut after = 0;
        while after < ACTS_AFTER {
            let Some(act) = self.acts.next() else { break };
            after += usize::from(self.recorder.is_over());
            self.perform(act).await;
            sleep(self.acts.pause()).await;
        }
        Ok(())
    }

    async fn perform(&self, act: Act) {
        match act {
            Act::Order { orders, patience } => {
                let calls = orders.iter().flat_map(|wanted| {
                    let times = if wanted.twice { 2 } else { 1 };
                    (0..times).map(|_| self.order(wanted.clone(), patience))
                });
                join_all(calls).await;
            }
            Act::Cancel { back } => {
                if let Some(order_id) = self.recorder.order(back) {
                    self.cancel(order_id).await;
                }
            }
            Act::Pay { back } => {
                self.pay(back).await;
            }
            Act::SetStock { request_id, product_id, quantity } => {
                self.set_stock(request_id, product_id, quantity).await;
            }
            Act::AdjustStock { request_id, product_id, difference } => {
                self.adjust_stock(request_id, product_id, difference).await;
            }
            Act::TryProduct { request_id, wanted } => self.try_product(request_id, wanted).await,
            Act::TryUser { request_id, wanted } => self.try_user(request_id, wanted).await,
        }
    }

    /// A product with an open order stays.
    async fn try_product(&self, request_id: Uuid, wanted: Option<Trial>) {
        let Some(product_id) = self.create_product(request_id).await else { return };
        if let Some(Trial { restock_id, order_id, user_id }) = wanted {
            self.adjust_stock(restock_id, product_id, 5).await;
            let lines = vec![Line { product_id, quantity: 1 }];
            let wanted = Wanted { request_id: order_id, user_id, lines, twice: false };
            if let Answer::Ok(Reply::Order { order_id, .. }) = self.order(wanted, USUAL).await {
                self.cancel(order_id).await;
            }
        }
        let product_id = product_id.to_string();
        let request = DeleteProductRequest { product_id, request_id: String::new() };
        self.insist(&request, async |request| self.products.clone().delete_product(request).await)
            .await;
    }

    async fn create_product(&self, request_id: Uuid) -> Option<Uuid> {
        let request = CreateProductRequest {
            name: "On trial".to_owned(),
            sku: request_id.to_string(),
            price: Some(Money::new(1_999, Currency::CAD).into()),
            request_id: request_id.to_string(),
        };
        let created = self
            .insist(&request, async |request| self.products.clone().create_product(request).await);
        created.await?.product?.product_id.parse().ok()
    }

    /// A user who has ordered stays.
    async fn try_user(&self, request_id: Uuid, wanted: Option<Wanted>) {
        let Some(user_id) = self.create_user(request_id).await else { return };
        if let Some(wanted) = wanted {
            self.order(Wanted { user_id, ..wanted }, USUAL).await;
        }
        let user_id = user_id.to_string();
        let request = DeleteUserRequest { user_id, request_id: String::new() };
        self.insist(&request, async |request| self.users.clone().delete_user(request).await).await;
    }

    async fn create_user(&self, request_id: Uuid) -> Option<Uuid> {
        let request = CreateUserRequest {
            name: "On trial".to_owned(),
            email: format!("{request_id}@example.com"),
            r#type: Type::Client.into(),
            request_id: request_id.to_string(),
        };
        let created =
            self.insist(&request, async |request| self.users.clone().create_user(request).await);
        created.await?.user?.user_id.parse().ok()
    }

    /// Calls, again while nobody knows what came of it. It is not noted: a history has no products and no users, and what is
    /// announced of them is judged by what is committed. None if it was refused, or nobody knows.
    async fn insist<Q: Clone, A>(
        &self,
        request: &Q,
        call: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Option<A> {
        for _ in 0..USUAL.calls {
            match once(USUAL.deadline, request, &call).await {
                Ok(answer) => return Some(answer.into_inner()),
                Err(status) if Answer::from(&status) == Answer::Unknown => {}
                Err(_) => return None,
            }
            sleep(BETWEEN_CALLS).await;
        }
        None
    }

    async fn order(&self, wanted: Wanted, patience: Patience) -> Answer {
        let Wanted { request_id, user_id, lines, .. } = wanted;
        let request = CreateOrderRequest {
            user_id: user_id.to_string(),
            lines: lines
                .iter()
                .map(|line| create_order_request::Line {
                    product_id: line.product_id.to_string(),
                    quantity: line.quantity,
                })
                .collect(),
            request_id: request_id.to_string(),
        };
        let command = Command::CreateOrder { request_id, user_id, lines };
        self.ask(patience, &command, &request, async |request| {
            let answer = self.orders.clone().create_order(request).await?;
            Ok(answer.into_inner().order.unwrap_or_default())
        })
        .await
    }

    async fn cancel(&self, order_id: Uuid) {
        let request =
            CancelOrderRequest { order_id: order_id.to_string(), request_id: String::new() };
        self.ask(USUAL, &Command::CancelOrder { order_id }, &request, async |request| {
            let answer = self.orders.clone().cancel_order(request).await?;
            Ok(answer.into_inner().order.unwrap_or_default())
        })
        .await;
    }

    /// Pays for the first of some orders that can be paid.
    async fn pay(&self, back: usize) {
        for further in 0..LOOKED_AT {
            let Some(order_id) = self.recorder.order(back + further) else { return };
            let Some(payment_id) = self.payment_of(order_id).await else { continue };
            let request = ProcessPaymentRequest {
                payment_id: payment_id.to_string(),
                request_id: String::new(),
            };
            let command = Command::ProcessPayment { payment_id };
            self.ask(USUAL, &command, &request, async |request| {
                let answer = self.payments.clone().process_payment(request).await?;
                Ok(answer.into_inner().payment.unwrap_or_default())
            })
            .await;
            return;
        }
    }

    /// The payment of an order that is neither paid nor cancelled, if there is one.
    async fn payment_of(&self, order_id: Uuid) -> Option<Uuid> {
        let mut orders = self.orders.clone();
        let look = orders.get_order(GetOrderRequest { order_id: order_id.to_string() });
        let order = timeout(USUAL.deadline, look).await.ok()?.ok()?.into_inner().order?;
        if order.is_paid || order.state() == State::Cancelled {
            return None;
        }
        order.payment_id.parse().ok()
    }

    async fn set_stock(&self, request_id: Uuid, product_id: Uuid, quantity: i64) {
        let request = SetStockRequest {
            product_id: product_id.to_string(),
            quantity,
            request_id: request_id.to_string(),
        };
        let command = Command::SetStock { request_id, product_id, quantity };
        self.ask(USUAL, &command, &request, async |request| {
            let answer = self.stock.clone().set_stock(request).await?;
            Ok(answer.into_inner().stock.unwrap_or_default())
        })
        .await;
    }

    async fn adjust_stock(&self, request_id: Uuid, product_id: Uuid, difference: i64) {
        let request = AdjustStockRequest {
            product_id: product_id.to_string(),
            quantity_delta: difference,
            request_id: request_id.to_string(),
        };
        let command = Command::AdjustStock { request_id, product_id, difference };
        self.ask(USUAL, &command, &request, async |request| {
            let answer = self.stock.clone().adjust_stock(request).await?;
            Ok(answer.into_inner().stock.unwrap_or_default())
        })
        .await;
    }

    /// Calls, again while nobody knows what came of it, and notes each call. Answers what was told at last.
    async fn ask<Q: Clone, A: Into<Reply>>(
        &self,
        patience: Patience,
        command: &Command,
        request: &Q,
        call: impl AsyncFn(Request<Q>) -> Result<A, Status>,
    ) -> Answer {
        for _ in 0..patience.calls {
            let number = self.recorder.begin(command.clone());
            let answer = Answer::of(once(patience.deadline, request, &call).await);
            self.recorder.end(number, &answer);
            if answer != Answer::Unknown {
                return answer;
            }
            sleep(BETWEEN_CALLS).await;
        }
        Answer::Unknown
    }
}

/// Calls, and gives up at the deadline.
async fn once<Q: Clone, A>(
    deadline: Duration,
    request: &Q,
    call: impl AsyncFn(Request<Q>) -> Result<A, Status>,
) -> Result<A, Status> {
    let mut asked = Request::new(request.clone());
    asked.set_timeout(deadline);
    let told = timeout(deadline, call(asked)).await;
    told.unwrap_or_else(|_| Err(Status::deadline_exceeded("")))
}
