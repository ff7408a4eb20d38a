-- How many partitions lie wholly above the numbers drawn, and where the next one would begin.
-- The bounds are only to be had as text: FOR VALUES FROM ('0') TO ('10000000').
WITH bounds AS (
    SELECT
        (pg_catalog.regexp_match(bound, 'FROM \(''?(-?\d+)'))[1]::bigint AS first,
        (pg_catalog.regexp_match(bound, 'TO \(''?(-?\d+)'))[1]::bigint AS next
    FROM pg_catalog.pg_inherits
    JOIN pg_catalog.pg_class ON pg_class.oid = pg_inherits.inhrelid
    CROSS JOIN LATERAL pg_catalog.pg_get_expr(pg_class.relpartbound, pg_class.oid) AS bound
    WHERE pg_inherits.inhparent = 'messaging.outbox'::pg_catalog.regclass
),
drawn AS (
    SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS last
    FROM messaging.outbox_sequence
)
SELECT
    (SELECT count(*) FROM bounds, drawn WHERE bounds.first > drawn.last) AS "ahead!",
    coalesce((SELECT max(next) FROM bounds), 0) AS "next!",
    EXISTS (SELECT FROM bounds WHERE next IS NULL) AS "unbounded!"
