-- What Debezium needs in a database whose outbox it publishes: a role that may replicate and read the table, and a
-- publication. It may run again. Whoever runs it may create roles and owns the table, or is a superuser.

DO $$
BEGIN
    CREATE ROLE debezium LOGIN REPLICATION PASSWORD 'debezium';
EXCEPTION
    -- A role is the whole server's: it was made with another database, or is being made just now.
    WHEN duplicate_object OR unique_violation THEN NULL;
END;
$$;

-- For its first look at what the table holds already.
GRANT USAGE ON SCHEMA messaging TO debezium;
GRANT SELECT ON messaging.outbox TO debezium;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'debezium') THEN
        -- A row of a partition is told as a row of the table; and there are only inserts to be told.
        CREATE PUBLICATION debezium FOR TABLE messaging.outbox
            WITH (publish = 'insert', publish_via_partition_root = true);
    END IF;
END;
$$;
