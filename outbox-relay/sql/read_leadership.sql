-- Who leads, as of now: the session that holds the source's lock, and the last beat. One row always.
--
-- The lock's second half is the sequence's oid, moved into the range of an integer; pg_locks shows the bits of both as oids.
SELECT
    locks.pid,
    coalesce(leader.instance, '') AS "instance!",
    CASE
        WHEN leader.beat_at > '-infinity'
        THEN extract(EPOCH FROM pg_catalog.clock_timestamp() - leader.beat_at)::double precision
    END AS beat_age,
    activity.usename::text AS role,
    coalesce(
        pg_catalog.pg_has_role(activity.usesysid, 'MEMBER')
        OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'),
        false
    ) AS "may_end!"
FROM (VALUES (true)) AS always (here)
LEFT JOIN messaging.outbox_leader AS leader ON always.here
LEFT JOIN pg_catalog.pg_locks AS locks
    ON locks.locktype = 'advisory'
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
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = locks.pid
