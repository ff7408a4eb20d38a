-- The rows above the head, in the order of their numbers. What is not visible yet stays behind as a gap.
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
WHERE sequence > $1
ORDER BY sequence
LIMIT $2
