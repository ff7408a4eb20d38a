-- A replication slot of this cluster, whether it can be followed, and how much of the WAL it holds back.
--
-- Columns that only some versions have are read by way of JSON. A slot that is still being made has no confirmed position.
SELECT
    active_pid,
    (confirmed_flush_lsn - '0/0')::bigint AS confirmed,
    coalesce(
        CASE
            WHEN slot.database IS DISTINCT FROM pg_catalog.current_database()
            THEN 'it belongs to another database'
            WHEN slot.plugin IS DISTINCT FROM 'pgoutput' OR slot.temporary
            THEN 'it is none of the relay''s making'
        END,
        'invalidated: ' || (pg_catalog.to_jsonb(slot) ->> 'invalidation_reason'),
        CASE WHEN slot.wal_status = 'lost' THEN 'its WAL is lost' END
    ) AS unusable,
    coalesce(
        pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), slot.restart_lsn), 0
    )::bigint AS "retained!"
FROM pg_catalog.pg_replication_slots AS slot
WHERE slot_name = $1
