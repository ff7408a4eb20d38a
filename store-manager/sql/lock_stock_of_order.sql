-- The lines of an order with what is on hand of each, the stock locked.
--
-- All who change several stock rows lock them in the order of the products' ids, so that they wait for each other and
-- never in a circle. LockRows stands above the sort, so it locks in that order; a row that another transaction has just
-- changed is read again once its lock is granted. The products' ids never change, so the order stays right. A line whose
-- stock is gone stands in the answer without any.
WITH held AS (
    SELECT product_id, quantity, version
    FROM store_manager.stock
    WHERE product_id IN (SELECT product_id FROM store_manager.order_lines WHERE order_id = $1)
    ORDER BY product_id
    FOR NO KEY UPDATE
)
SELECT line.product_id AS "product_id: ProductId", line.quantity, held.quantity AS "on_hand?", held.version AS "version?"
FROM store_manager.order_lines AS line
LEFT JOIN held USING (product_id)
WHERE line.order_id = $1
ORDER BY line.product_id
