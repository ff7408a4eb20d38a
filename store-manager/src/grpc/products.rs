//! `store.catalog.v1.ProductService`.

use proto::store::catalog::v1::{
    CreateProductRequest, CreateProductResponse, DeleteProductRequest, DeleteProductResponse,
    GetProductRequest, GetProductResponse, ListProductsRequest, ListProductsResponse,
    product_service_server::ProductService,
};
use runtime::grpc::{
    page::Page,
    request::{InvalidRequest, Violations},
};
use tonic::{Request, Response, Status};

use super::{Shared, request, status};
use crate::{
    commands::{self, CreateProduct, DeleteProduct},
    queries,
};

const CREATE_PRODUCT: &str = "store.catalog.v1.ProductService/CreateProduct";
const DELETE_PRODUCT: &str = "store.catalog.v1.ProductService/DeleteProduct";
const MAX_NAME: usize = 200;
const MAX_SKU: usize = 64;
const MAX_SEARCH: usize = 200;

/// The service of products.
#[derive(Clone, Debug)]
pub struct ProductsGrpc(pub Shared);

#[tonic::async_trait]
impl ProductService for ProductsGrpc {
    async fn create_product(
        &self,
        request: Request<CreateProductRequest>,
    ) -> Result<Response<CreateProductResponse>, Status> {
        let command = self.read_create_product(&request).map_err(status::invalid)?;
        let answer = commands::create_product(&self.0.pool, &command).await;
        Ok(Response::new(answer.map_err(status::create_product)?))
    }

    async fn delete_product(
        &self,
        request: Request<DeleteProductRequest>,
    ) -> Result<Response<DeleteProductResponse>, Status> {
        let command = read_delete_product(&request).map_err(status::invalid)?;
        let answer = commands::delete_product(&self.0.pool, &command).await;
        Ok(Response::new(answer.map_err(status::delete_product)?))
    }

    async fn get_product(
        &self,
        request: Request<GetProductRequest>,
    ) -> Result<Response<GetProductResponse>, Status> {
        let product_id =
            request::id("product_id", &request.get_ref().product_id).map_err(status::invalid)?;
        let product = queries::get_product(&self.0.pool, product_id).await;
        let product = product.map_err(|error| status::store(&error))?;
        Ok(Response::new(product.ok_or_else(|| status::product_not_found(product_id))?))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        let (search, page) = read_list_products(request.get_ref()).map_err(status::invalid)?;
        let products = queries::list_products(&self.0.pool, &search, &page).await;
        Ok(Response::new(products.map_err(|error| status::store(&error))?))
    }
}

impl ProductsGrpc {
    fn read_create_product(
        &self,
        request: &Request<CreateProductRequest>,
    ) -> Result<CreateProduct, InvalidRequest> {
        let mut violations = Violations::default();
        let fields = request.get_ref();
        let name = request::label(&mut violations, "name", &fields.name, MAX_NAME);
        let sku = request::label(&mut violations, "sku", &fields.sku, MAX_SKU);
        let price =
            request::price(&mut violations, "price", fields.price.as_ref(), self.0.currency);
        let asked = request::asked(&mut violations, CREATE_PRODUCT, request, |fields| {
            &mut fields.request_id
        });
        violations.finish(|| {
            let asked = asked?.safe_to_repeat();
            Some(CreateProduct { asked, name: name?, sku: sku?, price: price? })
        })
    }
}

fn read_delete_product(
    request: &Request<DeleteProductRequest>,
) -> Result<DeleteProduct, InvalidRequest> {
    let mut violations = Violations::default();
    let product_id = violations.check("product_id", request.get_ref().product_id.parse());
    let asked =
        request::asked(&mut violations, DELETE_PRODUCT, request, |fields| &mut fields.request_id);
    violations
        .finish(|| Some(DeleteProduct { asked: asked?.safe_to_repeat(), product_id: product_id? }))
}

fn read_list_products(request: &ListProductsRequest) -> Result<(String, Page), InvalidRequest> {
    let mut violations = Violations::default();
    let search = violations.text("search", &request.search, 0..=MAX_SEARCH);
    let filter = ListProductsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let page = Page::parse(&mut violations, request.page_size, &request.page_token, &filter);
    violations.finish(|| Some((search?, page?)))
}
