-- How far WAL has been written into memory, and how far it is on disk. Read after a snapshot, `inserted` lies beyond the commit of
-- everything that the snapshot shows: once that much is on disk, none of it can be lost.
SELECT
    (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn)::bigint AS "inserted!",
    (pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_catalog.pg_lsn)::bigint AS "flushed!"
