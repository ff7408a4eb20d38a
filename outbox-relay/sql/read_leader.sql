-- Who holds the source's lock, and when it was last alive: when it has beaten, and begun a statement, of which a long look has many.
--
-- The lock's second half is the sequence's oid, moved into the range of an integer; pg_locks shows the bits of both halves as oids.
SELECT
    locks.pid AS "pid!",
    activity.backend_start::text AS connected_at,
    leader.instance AS "instance!",
    concat_ws(' ', leader.beat_at, activity.query_start) AS "beat_at!"
FROM pg_catalog.pg_locks AS locks
CROSS JOIN messaging.outbox_leader AS leader
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = locks.pid
WHERE locks.locktype = 'advisory'
    AND locks.granted
    AND locks.mode = 'ExclusiveLock'
    AND locks.objsubid = 2
    AND locks.database = (
        SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
    )
    AND locks.classid = $1::bigint::oid
    AND locks.objid = (
        ('messaging.outbox_sequence'::pg_catalog.regclass::oid::bigint + 2147483648) % 4294967296
    )::oid
