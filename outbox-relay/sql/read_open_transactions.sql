-- The transactions that may still fill a number that has been drawn, as an operator looks for them: those that hold
-- RowExclusiveLock or a stronger one on the table or a partition, oldest first. `sql/read_holders.sql` is what the relay goes by.
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
        AND mode NOT IN ('AccessShareLock', 'RowShareLock')
)
SELECT
    holders.pid,
    prepared.gid,
    coalesce(nullif(activity.application_name, ''), activity.usename::text, prepared.owner::text, '') AS "who!",
    CASE WHEN prepared.gid IS NOT NULL THEN 'prepared' ELSE coalesce(activity.state, '') END AS "state!",
    extract(
        EPOCH FROM pg_catalog.clock_timestamp() - coalesce(activity.xact_start, prepared.prepared)
    )::double precision AS open_for
FROM holders
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = holders.pid
LEFT JOIN locks AS own
    ON own.locktype = 'transactionid'
    AND holders.pid IS NULL
    AND own.pid IS NULL
    AND own.virtualtransaction = holders.virtualtransaction
LEFT JOIN pg_catalog.pg_prepared_xacts AS prepared ON prepared.transaction = own.transactionid
ORDER BY 5 DESC NULLS LAST
LIMIT 100
