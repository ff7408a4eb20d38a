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
    -- With its epoch: the one that lies within half the circle around the snapshot's xmax.
    pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint
    + (
        own.id
        - pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint % 4294967296
        + 6442450944
    ) % 4294967296
    - 2147483648 AS transaction_id,
    CASE
        WHEN activity.state IN ('idle in transaction', 'idle in transaction (aborted)')
        THEN activity.state_change::text
    END AS idle_since,
    own.gid
FROM holders
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = holders.pid
-- A session's own id, not that of a savepoint, is what pg_stat_activity shows, if it may be seen; but that is read after the locks, and
-- may be of the session's next transaction. The lock on the id says whose it is.
LEFT JOIN LATERAL (
    SELECT min(locks.transactionid::text::bigint) AS id, min(prepared_xacts.gid) AS gid
    FROM locks
    LEFT JOIN pg_catalog.pg_prepared_xacts AS prepared_xacts
        ON holders.pid IS NULL AND prepared_xacts.transaction = locks.transactionid
    WHERE locks.locktype = 'transactionid'
        AND locks.virtualtransaction = holders.virtualtransaction
        AND (locks.transactionid = activity.backend_xid OR prepared_xacts.gid IS NOT NULL)
) AS own ON true
