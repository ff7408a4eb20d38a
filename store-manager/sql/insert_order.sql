-- An order with its lines and its first state, in one round trip.
--
-- The foreign keys to `orders` are checked at the end of the statement, when its row is there. All three see one
-- `clock_timestamp()` each; `created_at` of the order is the one that callers are shown.
WITH placed AS (
    INSERT INTO store_manager.orders (order_id, user_id, state, total_minor, currency)
    VALUES ($1, $2, $3, $4, $5)
    RETURNING order_id, created_at
), lines AS (
    INSERT INTO store_manager.order_lines (order_id, product_id, quantity, unit_price_minor, name, sku)
    SELECT $1, line.product_id, line.quantity, line.unit_price_minor, line.name, line.sku
    FROM UNNEST($6::uuid[], $7::integer[], $8::bigint[], $9::text[], $10::text[])
        AS line (product_id, quantity, unit_price_minor, name, sku)
), reached AS (
    INSERT INTO store_manager.order_states (order_id, state)
    VALUES ($1, $3)
)
SELECT created_at FROM placed
