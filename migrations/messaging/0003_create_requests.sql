-- The inbox of commands: the first answer to each `request_id`, written in the transaction that did the work, so that a
-- caller who asks again is told the same and nothing is done twice.
--
-- Partitioned by day of creation: `messaging::partitions` creates the days ahead of time and drops them after 7 days. A
-- primary key cannot span partitions without their key: `messaging::requests` serialises the callers of one id with an
-- advisory lock and looks in every day.

CREATE TABLE messaging.requests (
    -- The rpc's full name, `store.orders.v1.OrderService/CreateOrder`.
    rpc text NOT NULL CHECK (rpc <> ''),
    request_id uuid NOT NULL,
    -- SHA-256 of the request without its id: another request under the same id is refused.
    request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
    -- The encoded answer; none where the command committed without success, which counts as not asked.
    answer bytea,
    created_at timestamptz NOT NULL,
    CONSTRAINT requests_pkey PRIMARY KEY (rpc, request_id, created_at)
) PARTITION BY RANGE (created_at);

CREATE TABLE messaging.requests_default PARTITION OF messaging.requests DEFAULT;
