-- Payments: what is to be paid for each order, one row an order. The row is also this service's lock for the order: every
-- event about it is appended to the outbox only by the transaction that holds the row, so that the events of one order
-- stand on Kafka in the order of their commits.

CREATE SCHEMA IF NOT EXISTS payments;

CREATE TABLE payments.payments (
    -- UUIDv7, fixed when the row is made: the provider's idempotency key.
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    user_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    state text NOT NULL CHECK (state IN ('requested', 'pending', 'paid', 'refused', 'cancelled')),
    -- The order was cancelled while the provider had not answered; the worker voids instead of asking.
    cancel_requested boolean NOT NULL DEFAULT false CHECK (NOT cancel_requested OR state = 'requested'),
    -- Where to pay; known once the provider has accepted.
    payment_link text CHECK (payment_link IS NOT NULL OR state NOT IN ('pending', 'paid')),
    -- When the provider was last known to agree with the state. NULL: the worker owes the provider a call, which one is
    -- told by the state.
    settled_at timestamptz,
    -- Calls to the provider that failed since the state was reached, and when the next one is due.
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    retry_at timestamptz NOT NULL DEFAULT now(),
    -- The saga, and the event and trace that the worker's next announcement inherits: StockDecreased, or the
    -- OrderCancellationRequested that came before the provider's answer.
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    tracestate text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_pkey PRIMARY KEY (payment_id),
    -- One payment per order.
    CONSTRAINT payments_order_id_key UNIQUE (order_id),
    CONSTRAINT payments_unanswered_is_owed CHECK (settled_at IS NULL OR state <> 'requested'),
    CONSTRAINT payments_answered_is_settled CHECK (settled_at IS NOT NULL OR state NOT IN ('pending', 'refused'))
);

-- What the worker owes, the longest waiting first; empty when nothing moves.
CREATE INDEX payments_owed_idx ON payments.payments (retry_at) WHERE settled_at IS NULL;

-- Lists by user and by state, newest first.
CREATE INDEX payments_user_id_idx ON payments.payments (user_id, payment_id DESC);
CREATE INDEX payments_state_idx ON payments.payments (state, payment_id DESC);
