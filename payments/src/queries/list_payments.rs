//! `ListPayments`: a page of payments, newest first.

use runtime::grpc::page::Page;
use sqlx::PgPool;

use crate::{
    domain::Payment,
    store::payments::{self, PaymentFilter},
};

/// Reads a page and makes the token of the next one, empty at the end.
///
/// # Errors
/// What the database says.
pub async fn list_payments(
    pool: &PgPool,
    filter: PaymentFilter,
    page: &Page,
) -> sqlx::Result<(Vec<Payment>, String)> {
    let rows = payments::list(pool, filter, page.after(), page.limit()).await?;
    Ok(page.cut(rows, |payment| payment.payment_id.0))
}
