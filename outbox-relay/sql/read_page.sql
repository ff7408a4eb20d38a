-- The rows above the head, in the order of their numbers. What is not visible yet stays behind as a gap.
--
-- Rows that are not visible cost as much as rows that are: up to $2, the scan goes through a bounded number of them.
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
WHERE sequence > $1 AND sequence <= $2
ORDER BY sequence
LIMIT $3
