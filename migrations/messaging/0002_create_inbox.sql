-- The inbox: the ids of the events this service has handled, written in the transaction that handled them, so that a
-- record delivered again changes nothing.
--
-- Event ids are UUIDv7, so the id itself tells the time, and the table is partitioned by it: whole days are dropped
-- after 30 days, longer than any topic keeps its records. Ids that are no UUIDv7 of these days go to the default one.

CREATE TABLE messaging.inbox (
    event_id uuid NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbox_pkey PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

CREATE TABLE messaging.inbox_default PARTITION OF messaging.inbox DEFAULT;
