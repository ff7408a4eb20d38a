-- What may change of an order, and, if `$11`, the state it has now reached, in one round trip.
--
-- The caller holds the order's row. `saga_completed_at` is set once and never cleared.
WITH reached AS (
    INSERT INTO store_manager.order_states (order_id, state, reason, detail, product_id)
    SELECT $1, $2, $7, $8, $9
    WHERE $11
)
UPDATE store_manager.orders
SET state = $2,
    stock_taken = $3,
    is_paid = $4,
    payment_id = $5,
    payment_link = $6,
    failure_reason = $7,
    failure_detail = $8,
    failure_product_id = $9,
    saga_completed_at = CASE WHEN $10 THEN COALESCE(saga_completed_at, clock_timestamp()) END,
    updated_at = clock_timestamp()
WHERE order_id = $1
RETURNING updated_at
