-- What has meanwhile been committed in the open gaps, given as runs by their first and last numbers.
--
-- Each run is one index range scan, because of the LATERAL with its own ORDER BY and LIMIT: a run of ten million numbers
-- that are all there costs no more than a page. Fewer rows than the limit mean that every gap has been looked through.
SELECT
    found.sequence,
    found.id,
    found.aggregatetype,
    found.aggregateid,
    found.event_type,
    found.source,
    found.subject,
    found.created_at,
    found.correlationid,
    found.causationid,
    found.traceparent,
    found.tracestate,
    found.contenttype,
    found.payload
FROM unnest($1::bigint[], $2::bigint[]) AS gap (first, last)
CROSS JOIN LATERAL (
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
    WHERE sequence BETWEEN gap.first AND gap.last
    ORDER BY sequence
    LIMIT $3
) AS found
ORDER BY found.sequence
LIMIT $3
