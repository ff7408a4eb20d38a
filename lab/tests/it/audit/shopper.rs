//! A system and its only caller, who keeps what it did and was told.

use std::time::SystemTime;

use lab::{
    audit::{Rest, Sources, Verdict, at_rest, audit},
    campaign::Delivery,
    history::{Answer, Command, History, Invocation, Line, Reply},
};
use proto::store::{
    orders::v1::{CancelOrderRequest, Order, order::State},
    payments::v1::ProcessPaymentRequest,
    stock::v1::{AdjustStockRequest, SetStockRequest, stock_service_client::StockServiceClient},
};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::scenarios::{ADA, PATIENCE, Shop, order_of, product};

pub(super) struct Shopper {
    pub(super) shop: Shop,
    pub(super) history: History,
}

impl Shopper {
    pub(super) fn sources(&self) -> Sources {
        Sources::from(&self.shop.system)
    }

    /// Waits until nothing moves.
    pub(super) async fn rest(&self) -> Rest {
        let rest = at_rest(&self.sources(), PATIENCE).await.unwrap();
        assert_eq!(rest.still_moves, []);
        rest
    }

    /// Holds everything against a system at rest.
    pub(super) async fn audit(&self) -> Vec<Verdict> {
        audit(&self.rest().await.snapshot, Some(&self.history), Delivery::AtLeastOnce)
    }

    fn keep(&mut self, command: Command, began: SystemTime, answer: Answer) -> Answer {
        let ended = Some(SystemTime::now());
        let invocation = Invocation { command, began, ended, answer: answer.clone() };
        self.history.invocations.push(invocation);
        answer
    }

    /// Places an order, twice under one id; answers its id if it was placed.
    pub(super) async fn place(&mut self, lines: &[(u8, i32)]) -> Option<Uuid> {
        let request_id = Uuid::now_v7();
        let asked = lines
            .iter()
            .map(|(number, quantity)| Line {
                product_id: id(&product(*number)),
                quantity: *quantity,
            })
            .collect();
        let command = Command::CreateOrder { request_id, user_id: id(ADA), lines: asked };
        let mut answer = Answer::Unknown;
        for _ in 0..2 {
            let began = SystemTime::now();
            let request = order_of(lines, &request_id.to_string());
            let told = self.shop.orders().create_order(request).await;
            let told = told.map(|told| told.into_inner().order.unwrap());
            answer = self.keep(command.clone(), began, Answer::of(told));
        }
        match answer {
            Answer::Ok(Reply::Order { order_id, .. }) => Some(order_id),
            Answer::Ok(_) | Answer::Refused { .. } | Answer::Unknown => None,
        }
    }

    pub(super) async fn reaches(&self, order_id: Uuid, state: State) -> Order {
        self.shop.reaches(&order_id.to_string(), state).await
    }

    pub(super) async fn cancel(&mut self, order_id: Uuid) {
        let request =
            CancelOrderRequest { order_id: order_id.to_string(), request_id: String::new() };
        let began = SystemTime::now();
        let told = self.shop.orders().cancel_order(request).await;
        let told = told.map(|told| told.into_inner().order.unwrap());
        self.keep(Command::CancelOrder { order_id }, began, Answer::of(told));
    }

    pub(super) async fn pay(&mut self, order: &Order) {
        let payment_id = id(&order.payment_id);
        let request =
            ProcessPaymentRequest { payment_id: payment_id.to_string(), request_id: String::new() };
        let began = SystemTime::now();
        let told = self.shop.payments().process_payment(request).await;
        let told = told.map(|told| told.into_inner().payment.unwrap());
        self.keep(Command::ProcessPayment { payment_id }, began, Answer::of(told));
    }

    fn stock(&self) -> StockServiceClient<Channel> {
        StockServiceClient::new(self.shop.system.store_manager.channel())
    }

    pub(super) async fn set_stock(&mut self, number: u8, quantity: i64) {
        let (request_id, product_id) = (Uuid::now_v7(), product(number));
        let command = Command::SetStock { request_id, product_id: id(&product_id), quantity };
        let request = SetStockRequest { product_id, quantity, request_id: request_id.to_string() };
        let began = SystemTime::now();
        let told = self.stock().set_stock(request).await;
        self.keep(command, began, Answer::of(told.map(|told| told.into_inner().stock.unwrap())));
    }

    pub(super) async fn adjust_stock(&mut self, number: u8, difference: i64) {
        let (request_id, product_id) = (Uuid::now_v7(), product(number));
        let command = Command::AdjustStock { request_id, product_id: id(&product_id), difference };
        let request = AdjustStockRequest {
            product_id,
            quantity_delta: difference,
            request_id: request_id.to_string(),
        };
        let began = SystemTime::now();
        let told = self.stock().adjust_stock(request).await;
        self.keep(command, began, Answer::of(told.map(|told| told.into_inner().stock.unwrap())));
    }
}

fn id(text: &str) -> Uuid {
    text.parse().unwrap()
}
