//! One order, and pages of them.

use std::collections::HashMap;

use proto::{
    OrderId,
    store::orders::v1::{GetOrderResponse, ListOrdersResponse},
};
use runtime::grpc::page::Page;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    answers,
    domain::order::OrderLine,
    store::{
        order_lines,
        orders::{self, Filter},
    },
};

/// One order with its lines.
pub(crate) async fn get_order(
    pool: &PgPool,
    order_id: OrderId,
) -> sqlx::Result<Option<GetOrderResponse>> {
    let mut connection = pool.acquire().await?;
    let Some(order) = orders::find(&mut connection, order_id).await? else { return Ok(None) };
    let lines = order_lines::of_order(&mut connection, order_id).await?;
    Ok(Some(GetOrderResponse { order: Some(answers::order(&order, &lines)) }))
}

/// A page of orders with their lines, newest first.
pub(crate) async fn list_orders(
    pool: &PgPool,
    filter: &Filter,
    page: &Page,
) -> sqlx::Result<ListOrdersResponse> {
    let mut connection = pool.acquire().await?;
    let rows = orders::list(&mut connection, filter, page.after(), page.limit()).await?;
    let (rows, next_page_token) = page.cut(rows, |order| order.order_id.0);
    let order_ids: Vec<Uuid> = rows.iter().map(|order| order.order_id.0).collect();
    let mut lines: HashMap<OrderId, Vec<OrderLine>> = HashMap::new();
    for (order_id, line) in order_lines::of_orders(&mut connection, &order_ids).await? {
        lines.entry(order_id).or_default().push(line);
    }
    let none = Vec::new();
    let orders = rows
        .iter()
        .map(|order| answers::order(order, lines.get(&order.order_id).unwrap_or(&none)))
        .collect();
    Ok(ListOrdersResponse { orders, next_page_token })
}
