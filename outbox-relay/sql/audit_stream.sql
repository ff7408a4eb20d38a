-- What the stream must have shown by when: the highest number that is visible, and where the WAL ends.
--
-- A row that this statement's snapshot shows had its commit in the WAL before the snapshot was taken, and the end of the WAL is
-- read after. It is the end of what is inserted, not of what is flushed: an asynchronous commit is visible before it is flushed.
SELECT
    coalesce(
        (SELECT sequence FROM messaging.outbox ORDER BY sequence DESC LIMIT 1), 0
    ) AS "highest!",
    (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint AS "end!"
