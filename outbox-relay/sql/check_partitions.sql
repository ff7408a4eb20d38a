-- Whether the next number has a partition, how many lie wholly above the numbers drawn, and whether there is a default one.
-- The bounds are only to be had as text: FOR VALUES FROM ('0') TO ('10000000'), or DEFAULT; MINVALUE and MAXVALUE are no numbers.
WITH bounds AS (
    SELECT
        pg_class.relname::text AS name,
        bound = 'DEFAULT' AS is_default,
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
    drawn.last + 1 AS "next_number!",
    (SELECT count(*) FROM bounds WHERE bounds.first > drawn.last) AS "ahead!",
    EXISTS (
        SELECT
        FROM bounds
        WHERE NOT is_default
            AND coalesce(bounds.first <= drawn.last + 1, true)
            AND coalesce(drawn.last + 1 < bounds.next, true)
    ) AS "covered!",
    EXISTS (SELECT FROM bounds WHERE NOT is_default AND next IS NULL) AS "unbounded!",
    (SELECT name FROM bounds WHERE is_default) AS default_partition
FROM drawn
