-- The rows of these numbers, whole, in the order of the numbers.
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
WHERE sequence = ANY ($1)
ORDER BY sequence
