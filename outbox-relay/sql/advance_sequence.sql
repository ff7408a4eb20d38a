-- Sets the sequence forward to a number that the table has already, never back: what it would hand out until then is taken.
SELECT pg_catalog.setval('messaging.outbox_sequence', greatest($1::bigint, last_value)) AS "now!"
FROM messaging.outbox_sequence
