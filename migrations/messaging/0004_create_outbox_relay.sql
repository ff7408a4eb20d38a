-- What a relay and its operators tell each other in the database whose outbox it publishes.
-- It may run where `outbox-relay init` has created the same already, and leaves that as it is.

-- One row: who leads, and when it was last alive. A leader beats once a second over the connection that holds its lock; a
-- standby that sees no beat for 8 s by the database's clock ends that connection and takes over.
CREATE TABLE IF NOT EXISTS messaging.outbox_leader (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    -- The leader's host and process id, for people.
    instance text NOT NULL DEFAULT '',
    beat_at timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO messaging.outbox_leader DEFAULT VALUES ON CONFLICT DO NOTHING;

-- What an operator wants done with a parked key. The leader answers each once, after what it did is on Kafka.
CREATE TABLE IF NOT EXISTS messaging.outbox_command (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    command text NOT NULL CHECK (command IN ('retry', 'replace', 'skip')),
    -- The parked key, and the event that it waits for: a command for another event is refused.
    aggregatetype text NOT NULL,
    aggregateid text NOT NULL,
    event_id uuid NOT NULL,
    -- What is to be sent in the place of the event's payload.
    payload bytea,
    requested_at timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    -- What came of it, in a sentence.
    answer text,
    succeeded boolean,
    CHECK ((command = 'replace') = (payload IS NOT NULL)),
    CHECK ((answered_at IS NULL) = (answer IS NULL AND succeeded IS NULL))
);

CREATE INDEX IF NOT EXISTS outbox_command_waiting ON messaging.outbox_command (requested_at)
WHERE answered_at IS NULL;
