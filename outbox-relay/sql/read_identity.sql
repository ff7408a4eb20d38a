-- Which life of which table this is. The timeline is that of the WAL being written, not of the last checkpoint.
SELECT
    (SELECT system_identifier FROM pg_catalog.pg_control_system()) AS "system!",
    (
        'x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)
    )::bit(32)::integer AS "timeline!",
    (
        SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
    )::bigint AS "database!",
    epoch,
    published_at IS NOT NULL AS "published!"
FROM messaging.outbox_epoch
