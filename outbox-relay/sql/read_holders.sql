-- The transactions that may still fill a number that has been drawn: those that hold RowExclusiveLock or a stronger one on the
-- table or any partition (an INSERT straight into a partition locks the parent in AccessShare only), prepared ones included.
--
-- ShareUpdateExclusiveLock by itself is none: it is what VACUUM, ANALYZE and the making and unmaking of partitions hold, for
-- hours perhaps, and an INSERT takes RowExclusiveLock whatever else its transaction holds.
--
-- An INSERT takes the lock before its column default draws the number, and keeps it until its transaction ends. pg_locks and
-- pg_stat_activity show the present and not the snapshot, so this must run after the snapshot that showed the gap, and outside
-- a transaction block, within which pg_stat_activity would be remembered.
WITH locks AS MATERIALIZED (
    SELECT locktype, database, relation, virtualtransaction, transactionid, pid, mode
    FROM pg_catalog.pg_locks
    WHERE granted
),
holders AS (
    SELECT DISTINCT virtualtransaction, pid
    FROM locks
    WHERE locktype = 'relation'
        AND database = (
            SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
        )
        AND relation IN (
            SELECT 'messaging.outbox'::pg_catalog.regclass::oid
            UNION ALL
            SELECT inhrelid
            FROM pg_catalog.pg_inherits
            WHERE inhparent = 'messaging.outbox'::pg_catalog.regclass
        )
        AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareUpdateExclusiveLock')
)
SELECT
    holders.virtualtransaction AS "virtual_transaction!",
    holders.pid,
    coalesce(
        activity.backend_xid::text,
        (
            SELECT min(locks.transactionid::text)
            FROM locks
            WHERE locks.locktype = 'transactionid'
                AND holders.pid IS NULL
                AND locks.virtualtransaction = holders.virtualtransaction
                AND locks.transactionid IN (SELECT transaction FROM pg_catalog.pg_prepared_xacts)
        )
    ) AS transaction_id,
    CASE
        WHEN activity.state IN ('idle in transaction', 'idle in transaction (aborted)')
        THEN activity.state_change::text
    END AS idle_since,
    (
        SELECT min(prepared.gid)
        FROM locks
        JOIN pg_catalog.pg_prepared_xacts AS prepared
            ON prepared.transaction = locks.transactionid
        WHERE locks.locktype = 'transactionid'
            AND holders.pid IS NULL
            AND locks.virtualtransaction = holders.virtualtransaction
    ) AS gid
FROM holders
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = holders.pid
