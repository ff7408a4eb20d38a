//! `store.stock.v1.StockService`.

use proto::store::stock::v1::{
    AdjustStockRequest, AdjustStockResponse, GetStockRequest, GetStockResponse, ListStockRequest,
    ListStockResponse, SetStockRequest, SetStockResponse, stock_service_server::StockService,
};
use runtime::grpc::{
    page::Page,
    request::{InvalidRequest, Violations},
};
use tonic::{Request, Response, Status};

use super::{Shared, request, status};
use crate::{
    commands::{self, AdjustStock, SetStock},
    domain::catalog::MAX_QUANTITY,
    queries,
};

const SET_STOCK: &str = "store.stock.v1.StockService/SetStock";
const ADJUST_STOCK: &str = "store.stock.v1.StockService/AdjustStock";

/// The service of stock.
#[derive(Clone, Debug)]
pub struct StockGrpc(pub Shared);

#[tonic::async_trait]
impl StockService for StockGrpc {
    async fn set_stock(
        &self,
        request: Request<SetStockRequest>,
    ) -> Result<Response<SetStockResponse>, Status> {
        let command = read_set_stock(&request).map_err(status::invalid)?;
        let answer = commands::set_stock(&self.0.pool, &command).await;
        Ok(Response::new(answer.map_err(status::set_stock)?))
    }

    async fn adjust_stock(
        &self,
        request: Request<AdjustStockRequest>,
    ) -> Result<Response<AdjustStockResponse>, Status> {
        let command = read_adjust_stock(&request).map_err(status::invalid)?;
        let answer = commands::adjust_stock(&self.0.pool, &command).await;
        Ok(Response::new(answer.map_err(status::adjust_stock)?))
    }

    async fn get_stock(
        &self,
        request: Request<GetStockRequest>,
    ) -> Result<Response<GetStockResponse>, Status> {
        let product_id =
            request::id("product_id", &request.get_ref().product_id).map_err(status::invalid)?;
        let stock = queries::get_stock(&self.0.pool, product_id).await;
        let stock = stock.map_err(|error| status::store(&error))?;
        Ok(Response::new(stock.ok_or_else(|| status::product_not_found(product_id))?))
    }

    async fn list_stock(
        &self,
        request: Request<ListStockRequest>,
    ) -> Result<Response<ListStockResponse>, Status> {
        let (below, page) = read_list_stock(request.get_ref()).map_err(status::invalid)?;
        let stock = queries::list_stock(&self.0.pool, below, &page).await;
        Ok(Response::new(stock.map_err(|error| status::store(&error))?))
    }
}

fn read_set_stock(request: &Request<SetStockRequest>) -> Result<SetStock, InvalidRequest> {
    let mut violations = Violations::default();
    let fields = request.get_ref();
    let product_id = violations.check("product_id", fields.product_id.parse());
    let quantity = fields.quantity;
    if !(0..=MAX_QUANTITY).contains(&quantity) {
        violations.add("quantity", format!("must be 0 to {MAX_QUANTITY}"));
    }
    let asked =
        request::asked(&mut violations, SET_STOCK, request, |fields| &mut fields.request_id);
    violations.finish(|| {
        Some(SetStock { asked: asked?.safe_to_repeat(), product_id: product_id?, quantity })
    })
}

fn read_adjust_stock(request: &Request<AdjustStockRequest>) -> Result<AdjustStock, InvalidRequest> {
    let mut violations = Violations::default();
    let fields = request.get_ref();
    let product_id = violations.check("product_id", fields.product_id.parse());
    let quantity_delta = fields.quantity_delta;
    if quantity_delta == 0 || !(-MAX_QUANTITY..=MAX_QUANTITY).contains(&quantity_delta) {
        violations
            .add("quantity_delta", format!("must be -{MAX_QUANTITY} to {MAX_QUANTITY}, not 0"));
    }
    let asked =
        request::asked(&mut violations, ADJUST_STOCK, request, |fields| &mut fields.request_id);
    violations.finish(|| {
        Some(AdjustStock {
            asked: asked?.safe_to_repeat(),
            product_id: product_id?,
            quantity_delta,
        })
    })
}

fn read_list_stock(request: &ListStockRequest) -> Result<(Option<i64>, Page), InvalidRequest> {
    let mut violations = Violations::default();
    let below = request.below_quantity;
    if below.is_some_and(|below| below < 0) {
        violations.add("below_quantity", "must not be negative");
    }
    let filter = ListStockRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let page = Page::parse(&mut violations, request.page_size, &request.page_token, &filter);
    violations.finish(|| Some((below, page?)))
}
