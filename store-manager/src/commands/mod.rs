//! What callers can have done: one file a command, one transaction a command.

mod adjust_stock;
mod cancel_order;
mod create_order;
mod create_product;
mod create_user;
mod delete_product;
mod delete_user;
mod set_stock;

pub(crate) use adjust_stock::{AdjustStock, AdjustStockError, adjust_stock};
pub(crate) use cancel_order::{CancelOrder, CancelOrderError, cancel_order};
pub(crate) use create_order::{CreateOrder, CreateOrderError, create_order};
pub(crate) use create_product::{CreateProduct, CreateProductError, create_product};
pub(crate) use create_user::{CreateUser, CreateUserError, create_user};
pub(crate) use delete_product::{DeleteProduct, DeleteProductError, delete_product};
pub(crate) use delete_user::{DeleteUser, DeleteUserError, delete_user};
pub(crate) use set_stock::{SetStock, SetStockError, set_stock};

use messaging::requests::{self, Claim, RequestError};
use prost::Message;
use runtime::postgres;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

/// A request as it was asked, so that asked again it is answered as the first time.
#[derive(Clone, Debug)]
pub(crate) struct Asked<Q> {
    /// The rpc's full name.
    pub(crate) rpc: &'static str,
    /// What makes the request safe to repeat.
    pub(crate) request_id: Option<Uuid>,
    /// The request without its id.
    pub(crate) request: Q,
}

impl<Q: Message> Asked<Q> {
    /// With an id of our own if the caller gave none, for commands whose repetition after a commit with unknown outcome
    /// would not be harmless otherwise.
    pub(crate) fn safe_to_repeat(mut self) -> Self {
        self.request_id.get_or_insert_with(Uuid::now_v7);
        self
    }

    /// Claims the request, first thing in the transaction.
    pub(crate) async fn claim<A: Message + Default>(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Claim<A>, RequestError> {
        requests::claim(connection, self.rpc, self.request_id, &self.request).await
    }

    /// SHA-256 of the request, if it has an id.
    pub(crate) fn hash(&self) -> Option<Vec<u8>> {
        self.request_id.map(|_| Sha256::digest(self.request.encode_to_vec()).to_vec())
    }
}

/// Begins a transaction none of whose statements outlives what is left of the caller's deadline.
async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut transaction = postgres::begin(pool).await?;
    postgres::set_statement_timeout(&mut transaction).await?;
    Ok(transaction)
}
