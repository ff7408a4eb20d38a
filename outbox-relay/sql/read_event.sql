-- The row of a number, without its payload.
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
WHERE sequence = $1
