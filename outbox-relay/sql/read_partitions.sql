-- The partitions of the outbox in the order of their numbers, with what is written on each.
-- The bounds are only to be had as text: FOR VALUES FROM ('0') TO ('10000000'), or MINVALUE, or MAXVALUE, or DEFAULT.
SELECT
    pg_catalog.format('%I.%I', namespace.nspname, partition.relname) AS "table!",
    (pg_catalog.regexp_match(bound, 'FROM \(''?(-?\d+)'))[1]::bigint AS first,
    (pg_catalog.regexp_match(bound, 'TO \(''?(-?\d+)'))[1]::bigint AS next,
    bound = 'DEFAULT' AS "is_default!",
    inherits.inhdetachpending AS "detaching!",
    pg_catalog.obj_description(partition.oid, 'pg_class') AS comment
FROM pg_catalog.pg_inherits AS inherits
JOIN pg_catalog.pg_class AS partition ON partition.oid = inherits.inhrelid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = partition.relnamespace
CROSS JOIN LATERAL pg_catalog.pg_get_expr(partition.relpartbound, partition.oid) AS bound
WHERE inherits.inhparent = 'messaging.outbox'::pg_catalog.regclass
ORDER BY first NULLS FIRST
