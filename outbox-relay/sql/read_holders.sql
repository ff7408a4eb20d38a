-- The transactions that may still fill a number that has been drawn, oldest first: those that hold RowExclusiveLock or a stronger
-- one on the table or any partition (an INSERT straight into a partition locks the parent in AccessShare only), prepared ones
-- included.
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
    own.id AS "transaction_id?",
    prepared.gid AS "gid?",
    coalesce(nullif(activity.application_name, ''), activity.usename::text, prepared.owner::text, '') AS "who!",
    -- Null to a role that may not see it.
    activity.state AS "state?",
    CASE
        WHEN activity.state IN ('idle in transaction', 'idle in transaction (aborted)')
        THEN activity.state_change::text
    END AS idle_since,
    extract(
        EPOCH FROM pg_catalog.clock_timestamp() - coalesce(activity.xact_start, prepared.prepared)
    )::double precision AS open_for,
    CURRENT_USER::text AS "role!"
FROM holders
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = holders.pid
-- Everybody sees who holds which ids. The oldest is the transaction's own: those of its savepoints are given out later.
LEFT JOIN LATERAL (
    SELECT
        locks.transactionid,
        -- With its epoch: the one that lies within half the circle around the snapshot's xmax.
        pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint
        + (
            locks.transactionid::text::bigint
            - pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint % 4294967296
            + 6442450944
        ) % 4294967296
        - 2147483648 AS id
    FROM locks
    WHERE locks.locktype = 'transactionid'
        AND locks.mode = 'ExclusiveLock'
        AND locks.virtualtransaction = holders.virtualtransaction
        AND locks.pid IS NOT DISTINCT FROM holders.pid
    ORDER BY id
    LIMIT 1
) AS own ON true
LEFT JOIN pg_catalog.pg_prepared_xacts AS prepared
    ON holders.pid IS NULL
    AND prepared.transaction = own.transactionid
ORDER BY open_for DESC NULLS LAST
