-- The inbox: the ids of the events this service has handled, written in the transaction that handled them, so that a
-- record delivered again changes nothing.
--
-- Event ids are UUIDv7, so the id itself tells the time, and the table is partitioned by it: `messaging::partitions`
-- creates a partition a week ahead of time and drops it once all of its ids are older than 30 days, which is longer than
-- any topic keeps its records. Ids that are no UUIDv7 of these weeks go to the default partition, and go from there by
-- `handled_at`.

CREATE TABLE messaging.inbox (
    event_id uuid NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbox_pkey PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

CREATE TABLE messaging.inbox_default PARTITION OF messaging.inbox DEFAULT;
