-- The topics that the rows around the head are for, and the largest row that waits for each. A record's size is its row's but for
-- what the headers' names and the batch add.
WITH rows AS (
    (
        SELECT sequence, id, aggregatetype, false AS waits, 0 AS bytes
        FROM messaging.outbox
        WHERE sequence <= $1
        ORDER BY sequence DESC
        LIMIT $2
    )
    UNION ALL
    (
        SELECT
            sequence,
            id,
            aggregatetype,
            true,
            octet_length(payload) + octet_length(aggregateid) + octet_length(type) + octet_length(source)
                + octet_length(subject) + octet_length(contenttype)
        FROM messaging.outbox
        WHERE sequence > $1
        ORDER BY sequence
        LIMIT $2
    )
)
SELECT
    aggregatetype AS "name!",
    max(bytes) FILTER (WHERE waits)::bigint AS largest,
    (array_agg(id ORDER BY bytes DESC) FILTER (WHERE waits))[1] AS event_id
FROM rows
GROUP BY aggregatetype
ORDER BY aggregatetype
