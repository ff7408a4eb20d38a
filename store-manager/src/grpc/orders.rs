//! `store.orders.v1.OrderService`.

use std::collections::HashSet;

use futures::stream::BoxStream;
use proto::{
    ProductId,
    store::orders::v1::{
        CancelOrderRequest, CancelOrderResponse, CreateOrderRequest, CreateOrderResponse,
        GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse,
        WatchOrderRequest, WatchOrderResponse, create_order_request::Line, order::State,
        order_service_server::OrderService,
    },
};
use runtime::grpc::{
    page::Page,
    request::{InvalidRequest, Violations},
};
use tonic::{Request, Response, Status};

use super::{Shared, request, status};
use crate::{
    commands::{self, CancelOrder, CreateOrder},
    domain::order::OrderState,
    queries::{self, WatchOrderError},
    store::orders::Filter,
};

const CREATE_ORDER: &str = "store.orders.v1.OrderService/CreateOrder";
const CANCEL_ORDER: &str = "store.orders.v1.OrderService/CancelOrder";
const MAX_LINES: usize = 100;
const MAX_QUANTITY: i32 = 10_000;

/// The service of orders.
#[derive(Clone, Debug)]
pub struct OrdersGrpc(pub Shared);

#[tonic::async_trait]
impl OrderService for OrdersGrpc {
    type WatchOrderStream = BoxStream<'static, Result<WatchOrderResponse, Status>>;

    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Result<Response<CreateOrderResponse>, Status> {
        let command = self.read_create_order(&request).map_err(status::invalid)?;
        let answer = commands::create_order(&self.0.pool, &self.0.metrics, &command).await;
        Ok(Response::new(answer.map_err(status::create_order)?))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let command = read_cancel_order(&request).map_err(status::invalid)?;
        let answer = commands::cancel_order(&self.0.pool, &self.0.watches, &command).await;
        Ok(Response::new(answer.map_err(status::cancel_order)?))
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        let order_id =
            request::id("order_id", &request.get_ref().order_id).map_err(status::invalid)?;
        let order = queries::get_order(&self.0.pool, order_id).await;
        let order = order.map_err(|error| status::store(&error))?;
        Ok(Response::new(order.ok_or_else(|| status::order_not_found(order_id))?))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let (filter, page) = read_list_orders(request.get_ref()).map_err(status::invalid)?;
        let orders = queries::list_orders(&self.0.pool, &filter, &page).await;
        Ok(Response::new(orders.map_err(|error| status::store(&error))?))
    }

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let order_id =
            request::id("order_id", &request.get_ref().order_id).map_err(status::invalid)?;
        let states = queries::watch_order(&self.0.pool, &self.0.watches, order_id).await;
        let states = states.map_err(|error| match error {
            WatchOrderError::NoSuchOrder => status::order_not_found(order_id),
            WatchOrderError::TooMany(error) => status::too_many_watches(&error),
            WatchOrderError::Store(error) => status::store(&error),
        })?;
        Ok(Response::new(Box::pin(queries::answers(states, |error| status::store(&error)))))
    }
}

impl OrdersGrpc {
    fn read_create_order(
        &self,
        request: &Request<CreateOrderRequest>,
    ) -> Result<CreateOrder, InvalidRequest> {
        let mut violations = Violations::default();
        let fields = request.get_ref();
        let user_id = violations.check("user_id", fields.user_id.parse());
        let lines = read_lines(&mut violations, &fields.lines);
        let asked =
            request::asked(&mut violations, CREATE_ORDER, request, |fields| &mut fields.request_id);
        let currency = self.0.currency;
        violations.finish(|| {
            Some(CreateOrder { asked: asked?, user_id: user_id?, lines: lines?, currency })
        })
    }
}

/// Reads the lines, and at most so many that a wrong answer stays readable.
fn read_lines(violations: &mut Violations, lines: &[Line]) -> Option<Vec<(ProductId, i32)>> {
    if lines.is_empty() || lines.len() > MAX_LINES {
        violations.add("lines", format!("must be 1 to {MAX_LINES} lines, are {}", lines.len()));
        return None;
    }
    let mut seen = HashSet::new();
    let mut read = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        let product_field = format!("lines[{number}].product_id");
        let product_id = violations.check(product_field.clone(), line.product_id.parse());
        if product_id.is_some_and(|product_id: ProductId| !seen.insert(product_id)) {
            violations.add(product_field, "is the product of an earlier line");
        }
        let in_range = (1..=MAX_QUANTITY).contains(&line.quantity);
        if !in_range {
            violations
                .add(format!("lines[{number}].quantity"), format!("must be 1 to {MAX_QUANTITY}"));
        }
        read.extend(product_id.map(|product_id| (product_id, line.quantity)));
    }
    Some(read)
}

fn read_cancel_order(request: &Request<CancelOrderRequest>) -> Result<CancelOrder, InvalidRequest> {
    let mut violations = Violations::default();
    let order_id = violations.check("order_id", request.get_ref().order_id.parse());
    let asked =
        request::asked(&mut violations, CANCEL_ORDER, request, |fields| &mut fields.request_id);
    violations.finish(|| Some(CancelOrder { asked: asked?, order_id: order_id? }))
}

fn read_list_orders(request: &ListOrdersRequest) -> Result<(Filter, Page), InvalidRequest> {
    let mut violations = Violations::default();
    let user_id = request::optional_id(&mut violations, "user_id", &request.user_id);
    let state = read_state(&mut violations, request.state);
    let unchanged_since =
        request::optional_time_ago(&mut violations, "older_than", request.older_than);
    let created_from = request::optional_time(&mut violations, "start_time", request.start_time);
    let created_before = request::optional_time(&mut violations, "end_time", request.end_time);
    if let (Some(Some(from)), Some(Some(before))) = (created_from, created_before)
        && before <= from
    {
        violations.add("end_time", "must be after start_time");
    }
    let filter = ListOrdersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let page = Page::parse(&mut violations, request.page_size, &request.page_token, &filter);
    violations.finish(|| {
        let filter = Filter {
            user_id: user_id?,
            state: state?,
            unchanged_since: unchanged_since?,
            created_from: created_from?,
            created_before: created_before?,
        };
        Some((filter, page?))
    })
}

/// `Some(None)` where any state will do.
fn read_state(violations: &mut Violations, number: i32) -> Option<Option<OrderState>> {
    match State::try_from(number) {
        Ok(State::Unspecified) => Some(None),
        Ok(State::DecreasingStock) => Some(Some(OrderState::DecreasingStock)),
        Ok(State::CreatingPayment) => Some(Some(OrderState::CreatingPayment)),
        Ok(State::Completed) => Some(Some(OrderState::Completed)),
        Ok(State::Cancelling) => Some(Some(OrderState::Cancelling)),
        Ok(State::Cancelled) => Some(Some(OrderState::Cancelled)),
        Ok(State::NeedsAttention) => Some(Some(OrderState::NeedsAttention)),
        Err(_) => {
            violations.add("state", "must be a state of Order.State");
            None
        }
    }
}
