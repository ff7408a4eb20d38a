-- What tells the rows within runs of numbers apart, in the order of the numbers; not their payloads, only how large they are.
--
-- Each run is one index range scan, because of the LATERAL with its own ORDER BY and LIMIT.
SELECT
    found.sequence,
    found.id,
    found.aggregatetype,
    found.aggregateid,
    found.source,
    found.created_at,
    found.bytes AS "bytes!"
FROM unnest($1::bigint[], $2::bigint[]) AS run (first, last)
CROSS JOIN LATERAL (
    SELECT
        sequence,
        id,
        aggregatetype,
        aggregateid,
        source,
        created_at,
        pg_catalog.octet_length(payload) AS bytes
    FROM messaging.outbox
    WHERE sequence BETWEEN run.first AND run.last
    ORDER BY sequence
    LIMIT $3
) AS found
ORDER BY found.sequence
LIMIT $3
