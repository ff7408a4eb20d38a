-- What the stream must have shown by when: the highest number from $1 to $2 that is visible, if one is, and where the WAL ends.
--
-- A row that this statement's snapshot shows had its commit in the WAL before the snapshot was taken, and the end of the WAL is
-- read after. It is the end of what is inserted, not of what is flushed: an asynchronous commit is visible before it is flushed.
--
-- Rows that are not visible cost as much as rows that are: the numbers bound how many of them are gone through.
SELECT
    (
        SELECT sequence
        FROM messaging.outbox
        WHERE sequence >= $1 AND sequence <= $2
        ORDER BY sequence DESC
        LIMIT 1
    ) AS highest,
    (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint AS "end!"
