//! The seed data: loaded once, through the outbox like everything else, with ids that are fixed and documented.

use messaging::{Context, outbox};
use proto::{Currency, Money, ProductId, UserId};
use sqlx::{PgConnection, PgPool, types::time::OffsetDateTime};
use tracing::info;
use uuid::Uuid;

use crate::{
    announcements,
    domain::{
        catalog::{Product, Stock, User, UserType},
        stock::Change,
    },
    store::{products, seeds, stock, users},
};

const NAME: &str = "first";
const USER_IDS: u128 = 0x0199_0000_0000_7000_8000_0000_0000_0000;
const PRODUCT_IDS: u128 = 0x0199_0000_0000_7000_9000_0000_0000_0000;

const USERS: [(u128, &str, &str, UserType); 5] = [
    (1, "Ada Lovelace", "alovelace@example.com", UserType::Client),
    (2, "Adele Goldberg", "agoldberg@example.com", UserType::Client),
    (3, "Alan Turing", "aturing@example.com", UserType::Client),
    (4, "Jane Doe", "jdoe@magasinducoin.ca", UserType::Employee),
    (5, "Da Boss", "dboss@magasinducoin.ca", UserType::Manager),
];

/// Number, name, SKU, price in minor units, quantity on hand.
const PRODUCTS: [(u128, &str, &str, i64, i64); 4] = [
    (1, "Laptop ABC", "LP12567", 199_999, 1_000),
    (2, "Keyboard DEF", "KB67890", 5_950, 500),
    (3, "Gadget XYZ", "GG12345", 575, 2),
    (4, "27-inch Screen WYZ", "SC27289", 29_975, 90),
];

/// Loads the seed data, unless that was done before.
///
/// # Errors
/// What the database says.
pub async fn seed(pool: &PgPool, currency: Currency) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    if !seeds::remember(&mut transaction, NAME).await? {
        return Ok(());
    }
    for (number, name, email, user_type) in USERS {
        let user_id = UserId(Uuid::from_u128(USER_IDS + number));
        let (name, email) = (name.to_owned(), email.to_owned());
        let created_at = OffsetDateTime::UNIX_EPOCH;
        add_user(&mut transaction, &User { user_id, name, email, user_type, created_at }).await?;
    }
    for (number, name, sku, price_minor, quantity) in PRODUCTS {
        let product = Product {
            product_id: ProductId(Uuid::from_u128(PRODUCT_IDS + number)),
            name: name.to_owned(),
            sku: sku.to_owned(),
            price: Money::new(price_minor, currency),
            created_at: OffsetDateTime::UNIX_EPOCH,
        };
        add_product(&mut transaction, product, quantity).await?;
    }
    transaction.commit().await?;
    info!(users = USERS.len(), products = PRODUCTS.len(), "seed data loaded");
    Ok(())
}

/// Adds a user, unless the id or the address is there already.
async fn add_user(connection: &mut PgConnection, user: &User) -> sqlx::Result<()> {
    if users::insert(connection, user).await?.is_some() {
        let event = announcements::user_created(user);
        outbox::append(connection, &Context::start(user.user_id), &event).await?;
    }
    Ok(())
}

/// Adds a product with its stock, unless the id or the SKU is there already.
async fn add_product(
    connection: &mut PgConnection,
    product: Product,
    quantity: i64,
) -> sqlx::Result<()> {
    let product_id = product.product_id;
    if products::insert(connection, &product).await?.is_none() {
        return Ok(());
    }
    stock::insert(connection, product_id).await?;
    let context = Context::start(product_id);
    outbox::append(connection, &context, &announcements::product_created(&product)).await?;
    let mut stock = Stock {
        product_id,
        quantity,
        version: 0,
        name: product.name,
        sku: product.sku,
        price: product.price,
        updated_at: product.created_at,
    };
    stock::write(connection, &mut stock).await?;
    let change =
        Change { product_id, quantity, quantity_after: quantity, version_after: stock.version };
    outbox::append(connection, &context, &announcements::stock_set(&change)).await?;
    Ok(())
}
