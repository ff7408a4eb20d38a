-- What waits to be published: rows above the head and up to $2, and rows that have been committed in an open gap since; each counted up
-- to $5.
-- The oldest is the one with the smallest number, which is the oldest but for the writers' clocks.
WITH above AS (
    SELECT created_at
    FROM messaging.outbox
    WHERE sequence > $1 AND sequence <= $2
    ORDER BY sequence
    LIMIT $5
),
filled AS (
    SELECT found.created_at
    FROM unnest($3::bigint[], $4::bigint[]) AS gap (first, last)
    CROSS JOIN LATERAL (
        SELECT created_at
        FROM messaging.outbox
        WHERE sequence BETWEEN gap.first AND gap.last
        ORDER BY sequence
        LIMIT $5
    ) AS found
    LIMIT $5
),
waiting AS (
    SELECT created_at FROM above
    UNION ALL
    SELECT created_at FROM filled
)
SELECT
    (SELECT count(*) FROM above) AS "above!",
    (SELECT count(*) FROM filled) AS "filled!",
    extract(EPOCH FROM pg_catalog.clock_timestamp() - min(created_at))::double precision AS oldest_age
FROM waiting
