//! What callers can ask of the tiny store: an order, and more stock. All else is for the real one.

use std::{error::Error, net::SocketAddr};

use futures::stream::Empty;
use proto::{
    Money,
    store::{
        orders::v1::{
            CancelOrderRequest, CancelOrderResponse, CreateOrderRequest, CreateOrderResponse,
            GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse, Order,
            WatchOrderRequest, WatchOrderResponse,
            order::State,
            order_service_server::{OrderService, OrderServiceServer},
        },
        stock::v1::{
            AdjustStockRequest, AdjustStockResponse, GetStockRequest, GetStockResponse,
            ListStockRequest, ListStockResponse, SetStockRequest, SetStockResponse, Stock,
            stock_service_server::{StockService, StockServiceServer},
        },
    },
};
use tonic::{Request, Response, Status, transport::Server};
use uuid::Uuid;

use super::{NaiveError, Place, flaw::Role, orders, store::Store};

/// Serves until it is killed.
pub(super) async fn serve(store: &Store, listen: SocketAddr) -> Result<(), NaiveError> {
    Server::builder()
        .add_service(OrderServiceServer::new(store.clone()))
        .add_service(StockServiceServer::new(store.clone()))
        .serve(listen)
        .await?;
    Ok(())
}

impl Store {
    /// The order's id is the request's, so that a caller who asks again asks for the same order.
    async fn place(&self, request: CreateOrderRequest) -> Result<Order, NaiveError> {
        let order_id: Uuid = request.request_id.parse()?;
        let user_id: Uuid = request.user_id.parse()?;
        let mut lines = Vec::new();
        for line in &request.lines {
            lines.push((line.product_id.parse::<Uuid>()?, line.quantity));
        }
        let mut transaction = self.pool(Role::Orders).begin().await?;
        let (announcements, total) =
            orders::create(&mut transaction, order_id, user_id, &lines).await?;
        for announcement in &announcements {
            announcement.append(&mut transaction).await?;
        }
        transaction.commit().await?;
        self.places.pass(Place::OrderCommitted, order_id).await?;
        self.announce(&announcements).await?;
        Ok(stored(order_id, user_id, total))
    }

    async fn adjust(&self, request: AdjustStockRequest) -> Result<Stock, NaiveError> {
        let product_id: Uuid = request.product_id.parse()?;
        let difference = request.quantity_delta;
        let mut transaction = self.pool(Role::Orders).begin().await?;
        let announcement =
            orders::adjustment(&mut transaction, self.flaw, product_id, difference).await?;
        announcement.append(&mut transaction).await?;
        self.places.pass(Place::AdjustmentAppended, product_id).await?;
        let (quantity, version) = orders::adjust(&mut transaction, product_id, difference).await?;
        transaction.commit().await?;
        self.announce(&[announcement]).await?;
        Ok(Stock { product_id: request.product_id, quantity, version, ..Stock::default() })
    }
}

fn stored(order_id: Uuid, user_id: Uuid, total: Money) -> Order {
    Order {
        order_id: order_id.to_string(),
        user_id: user_id.to_string(),
        state: State::DecreasingStock.into(),
        total: Some(total.into()),
        ..Order::default()
    }
}

fn failed(error: &NaiveError) -> Status {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    Status::internal(format!("{error}: {cause}"))
}

fn only_the_real_one<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("only the real store can do that"))
}

#[tonic::async_trait]
impl OrderService for Store {
    type WatchOrderStream = Empty<Result<WatchOrderResponse, Status>>;

    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Result<Response<CreateOrderResponse>, Status> {
        let order = self.place(request.into_inner()).await.map_err(|error| failed(&error))?;
        Ok(Response::new(CreateOrderResponse { order: Some(order) }))
    }

    async fn cancel_order(
        &self,
        _: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        only_the_real_one()
    }

    async fn get_order(
        &self,
        _: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        only_the_real_one()
    }

    async fn list_orders(
        &self,
        _: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        only_the_real_one()
    }

    async fn watch_order(
        &self,
        _: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        only_the_real_one()
    }
}

#[tonic::async_trait]
impl StockService for Store {
    async fn adjust_stock(
        &self,
        request: Request<AdjustStockRequest>,
    ) -> Result<Response<AdjustStockResponse>, Status> {
        let stock = self.adjust(request.into_inner()).await.map_err(|error| failed(&error))?;
        Ok(Response::new(AdjustStockResponse { stock: Some(stock) }))
    }

    async fn set_stock(
        &self,
        _: Request<SetStockRequest>,
    ) -> Result<Response<SetStockResponse>, Status> {
        only_the_real_one()
    }

    async fn get_stock(
        &self,
        _: Request<GetStockRequest>,
    ) -> Result<Response<GetStockResponse>, Status> {
        only_the_real_one()
    }

    async fn list_stock(
        &self,
        _: Request<ListStockRequest>,
    ) -> Result<Response<ListStockResponse>, Status> {
        only_the_real_one()
    }
}
