-- How many rows wait behind the first event of each parked key. No index knows the keys: one scan from the smallest number on.
SELECT
    held.place AS "place!",
    count(outbox.sequence) AS "followers!"
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS held (topic, key, first, place)
LEFT JOIN messaging.outbox
    ON outbox.sequence > $4
    AND outbox.sequence > held.first
    AND outbox.aggregatetype = held.topic
    AND outbox.aggregateid = held.key
GROUP BY held.place
ORDER BY held.place
