-- Orders that were asked for and could not be placed: there is no order, but what was announced about it was announced
-- once. The row is the lock of the would-be order's events. The sweeper deletes rows older than 7 days.

CREATE TABLE store_manager.order_refusals (
    -- The id the order would have had.
    order_id uuid NOT NULL,
    -- Of the request, if it had one: the same request asked again is refused again and announces nothing.
    request_id uuid,
    request_hash bytea CHECK (length(request_hash) = 32),
    refused_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT order_refusals_pkey PRIMARY KEY (order_id),
    CONSTRAINT order_refusals_request_key UNIQUE (request_id, request_hash)
);

CREATE INDEX order_refusals_refused_at_idx ON store_manager.order_refusals (refused_at);
