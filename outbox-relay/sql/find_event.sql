-- The row of an event, between two numbers. No index knows the ids: the window is what keeps it short.
SELECT
    sequence AS number,
    id AS event_id,
    aggregatetype AS topic,
    aggregateid AS key,
    type AS event_type,
    source AS event_source,
    subject,
    created_at,
    correlationid AS correlation_id,
    causationid AS causation_id,
    octet_length(payload) AS "payload_bytes!"
FROM messaging.outbox
WHERE id = $1
    AND sequence BETWEEN $2 AND $3
LIMIT 1
