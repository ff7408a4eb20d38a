-- The smallest number that the table has a place for: below it partitions were dropped. None if the lowest has no lower bound.
SELECT min((pg_catalog.regexp_match(bound, 'FROM \(''?(-?\d+)'))[1]::bigint) AS first
FROM pg_catalog.pg_inherits
JOIN pg_catalog.pg_class ON pg_class.oid = pg_inherits.inhrelid
CROSS JOIN LATERAL pg_catalog.pg_get_expr(pg_class.relpartbound, pg_class.oid) AS bound
WHERE pg_inherits.inhparent = 'messaging.outbox'::pg_catalog.regclass
