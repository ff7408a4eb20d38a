-- The outbox: what a service wants the world to know, written in the transaction that made it true.
-- `outbox-relay` reads it in the order of `sequence` and publishes each row once its transaction has committed.
--
-- Rows are never updated and never deleted; whole partitions go when they are published and old.
-- It may run where `outbox-relay init` has created the same already, and leaves that as it is.
-- Column names `id`, `aggregatetype`, `aggregateid`, `type`, `payload` are those of Debezium's EventRouter.

CREATE SCHEMA IF NOT EXISTS messaging;

-- CACHE 1: a cached number could appear long after it was drawn, with no lock held in between.
CREATE SEQUENCE IF NOT EXISTS messaging.outbox_sequence AS bigint CACHE 1;

-- One row: which life of this table it is. A restored or copied database keeps the epoch and is told apart by its
-- system identifier and timeline; `published_at` is set before the relay's first publish, so that a missing progress
-- record can be told from a first start.
CREATE TABLE IF NOT EXISTS messaging.outbox_epoch (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    published_at timestamptz
);

INSERT INTO messaging.outbox_epoch DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Draws the next number and takes part in the relay's wake-up handshake.
--
-- While the relay is awake nobody holds the advisory lock exclusively: the writer takes it shared until its transaction
-- ends, which keeps the relay from falling asleep before it has seen this row. While the relay sleeps it holds the lock:
-- the writer is refused and wakes it with a notification, which PostgreSQL delivers at the commit.
-- The lock's key is the oid of the sequence, so that it is one per database and per table.
--
-- A transaction that has notified cannot be prepared: one that is to be says `SET LOCAL messaging.two_phase = on` first, and
-- its rows are found by the relay's fallback poll.
CREATE OR REPLACE FUNCTION messaging.next_outbox_sequence() RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock_shared(
        'messaging.outbox_sequence'::pg_catalog.regclass::oid::bigint
    ) AND pg_catalog.current_setting('messaging.two_phase', true) IS DISTINCT FROM 'on' THEN
        PERFORM pg_catalog.pg_notify('messaging_outbox', '');
    END IF;
    RETURN pg_catalog.nextval('messaging.outbox_sequence');
END;
$$;

CREATE TABLE IF NOT EXISTS messaging.outbox (
    -- Drawn by the default only, never by the application: the relay finds late commits by the gaps in it.
    sequence bigint NOT NULL DEFAULT messaging.next_outbox_sequence(),
    -- The event's id (UUIDv7); header ce_id.
    id uuid NOT NULL,
    -- The Kafka topic.
    aggregatetype text NOT NULL CHECK (aggregatetype <> ''),
    -- The Kafka key: the aggregate whose row the writer has locked.
    aggregateid text NOT NULL CHECK (aggregateid <> ''),
    -- The event's full type name; header ce_type.
    type text NOT NULL CHECK (type <> ''),
    -- The service that speaks; header ce_source.
    source text NOT NULL,
    -- What the event is about; header ce_subject.
    subject text NOT NULL,
    -- When it happened, by the writer's clock; header ce_time and the record's timestamp.
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The saga it belongs to; header ce_correlationid.
    correlationid text,
    -- The event that caused it; header ce_causationid.
    causationid text,
    -- W3C trace context of the transaction's span; headers of the same names.
    traceparent text,
    tracestate text,
    contenttype text NOT NULL DEFAULT 'application/protobuf',
    -- The record's value, byte for byte.
    payload bytea NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (sequence)
) PARTITION BY RANGE (sequence);

-- A month of writers ahead. The relay adds further ones; there is no default partition, because it would have to be
-- scanned under an exclusive lock whenever one is attached.
DO $$
DECLARE
    size CONSTANT bigint := 10000000;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = 'messaging.outbox'::pg_catalog.regclass) THEN
        RETURN;
    END IF;
    FOR number IN 0..11 LOOP
        EXECUTE pg_catalog.format(
            'CREATE TABLE messaging.%I PARTITION OF messaging.outbox FOR VALUES FROM (%s) TO (%s)',
            'outbox_p' || pg_catalog.lpad(number::text, 8, '0'),
            number * size,
            (number + 1) * size
        );
    END LOOP;
END;
$$;
