-- What the server has for the WAL feed. The relay's own slot and publication are free for it.
SELECT
    CURRENT_USER::text AS "role!",
    pg_catalog.current_setting('wal_level') AS "wal_level!",
    (
        SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER
    ) AS "replicates!",
    (
        EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'messaging_outbox')
        OR (
            pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
            AND (
                SELECT pg_catalog.pg_has_role(relowner, 'USAGE')
                FROM pg_catalog.pg_class
                WHERE oid = 'messaging.outbox'::pg_catalog.regclass
            )
        )
    ) AS "publishes!",
    pg_catalog.current_setting('max_replication_slots')::bigint - (
        SELECT count(*)
        FROM pg_catalog.pg_replication_slots
        WHERE slot_name <> 'outbox_relay_' || (
            SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
        )
    ) AS "free_slots!",
    pg_catalog.current_setting('max_wal_senders')::bigint - (
        SELECT count(*) FROM pg_catalog.pg_stat_replication WHERE application_name NOT LIKE 'outbox-relay%'
    ) AS "free_senders!",
    (
        SELECT min(relname::text)
        FROM pg_catalog.pg_inherits
        JOIN pg_catalog.pg_class ON pg_class.oid = pg_inherits.inhrelid
        WHERE inhparent = 'messaging.outbox'::pg_catalog.regclass
            AND relpersistence = 'u'
    ) AS unlogged
