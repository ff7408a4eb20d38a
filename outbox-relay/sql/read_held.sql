-- The rows of one parked key between two numbers, in their order. The window is small, because no index knows the keys.
SELECT
    sequence,
    id,
    aggregatetype,
    aggregateid,
    type AS event_type,
    source,
    subject,
    created_at,
    correlationid,
    causationid,
    traceparent,
    tracestate,
    contenttype,
    payload
FROM messaging.outbox
WHERE sequence BETWEEN $1 AND $2
    AND aggregatetype = $3
    AND aggregateid = $4
ORDER BY sequence
LIMIT $5
