-- Answers the first answer to this request id, or inserts the row that will hold it.
--
-- The caller holds the advisory lock of this rpc and id since an earlier statement, and keeps it until its transaction
-- ends. So this statement's snapshot, taken after the lock was granted, shows the answer of whoever held it before, and
-- nobody else inserts between the look and the INSERT. A row without an answer is one whose command committed without
-- success: only successes are kept, so it is passed over; it does not collide, since `clock_timestamp()` has moved on.
WITH first AS (
    SELECT request_hash, answer, created_at
    FROM messaging.requests
    WHERE rpc = $1 AND request_id = $2 AND answer IS NOT NULL
    ORDER BY created_at
    LIMIT 1
), claimed AS (
    INSERT INTO messaging.requests (rpc, request_id, request_hash, created_at)
    SELECT $1, $2, $3, clock_timestamp()
    WHERE NOT EXISTS (SELECT FROM first)
    RETURNING request_hash, answer, created_at
)
SELECT request_hash AS "request_hash!", answer, created_at AS "created_at!" FROM first
UNION ALL
SELECT request_hash, answer, created_at FROM claimed
