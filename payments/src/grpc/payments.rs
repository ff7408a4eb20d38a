//! `store.payments.v1.PaymentService`.

use std::sync::Arc;

use proto::store::payments::v1::{
    GetPaymentRequest, GetPaymentResponse, ListPaymentsRequest, ListPaymentsResponse,
    ProcessPaymentRequest, ProcessPaymentResponse, payment_service_server::PaymentService,
};
use sqlx::PgPool;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

use super::{request, status};
use crate::{commands, queries};

/// The service over a database and a worker to wake.
#[derive(Clone, Debug)]
pub struct PaymentsGrpc {
    pool: PgPool,
    wake_worker: Arc<Notify>,
}

impl PaymentsGrpc {
    /// Serves the payments in `pool`; `wake_worker` tells that the provider is owed a call.
    #[must_use]
    pub fn new(pool: PgPool, wake_worker: Arc<Notify>) -> Self {
        Self { pool, wake_worker }
    }
}

#[tonic::async_trait]
impl PaymentService for PaymentsGrpc {
    async fn process_payment(
        &self,
        request: Request<ProcessPaymentRequest>,
    ) -> Result<Response<ProcessPaymentResponse>, Status> {
        let command = request::process_payment(&request).map_err(status::invalid)?;
        let answer = commands::process_payment(&self.pool, &self.wake_worker, command).await;
        Ok(Response::new(answer.map_err(status::process_payment)?))
    }

    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<GetPaymentResponse>, Status> {
        let key = request::get_payment(request.get_ref()).map_err(status::invalid)?;
        let payment = queries::get_payment(&self.pool, key).await.map_err(status::get_payment)?;
        Ok(Response::new(GetPaymentResponse { payment: Some(payment.into()) }))
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let (filter, page) = request::list_payments(request.get_ref()).map_err(status::invalid)?;
        let listed = queries::list_payments(&self.pool, filter, &page).await;
        let (payments, next_page_token) = listed.map_err(|error| status::store(&error))?;
        let payments = payments.into_iter().map(Into::into).collect();
        Ok(Response::new(ListPaymentsResponse { payments, next_page_token }))
    }
}
