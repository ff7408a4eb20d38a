-- Whether a user is known, and which of some products are, in one round trip; neither can be deleted until the caller's
-- transaction ends.
--
-- A common table expression that locks is run as it stands, once. LockRows stands above the sort, so the products are locked
-- in the order of their ids; a row that another transaction deletes is waited for and, once gone, left out. Whoever
-- deletes locks `FOR UPDATE` one user or one product and nothing of the other kind, so that nobody waits in a circle.
-- There is one row without a product where none is known.
WITH buyer AS (
    SELECT user_id
    FROM store_manager.users
    WHERE user_id = $1
    FOR KEY SHARE
), wanted AS (
    SELECT product_id, name, sku, price_minor, currency, created_at
    FROM store_manager.products
    WHERE product_id = ANY($2)
    ORDER BY product_id
    FOR KEY SHARE
)
SELECT
    EXISTS (SELECT FROM buyer) AS "user_is_known!",
    wanted.product_id AS "product_id?: ProductId",
    wanted.name AS "name?",
    wanted.sku AS "sku?",
    wanted.price_minor AS "price_minor?",
    wanted.currency AS "currency?",
    wanted.created_at AS "created_at?"
FROM (VALUES (true)) AS one (row)
LEFT JOIN wanted ON true
ORDER BY wanted.product_id
