-- The simulated payment provider: the world outside. Its ledger is written in transactions of its own, never in one of
-- the payments service, as a real provider's would be; so a charge made twice can be seen here.

CREATE SCHEMA IF NOT EXISTS simulated_provider;

-- Append only, at most one entry of a kind for a payment id, which is the idempotency key. Two payments of one order
-- show as two ids with the same order.
CREATE TABLE simulated_provider.ledger (
    entry_id bigint GENERATED ALWAYS AS IDENTITY,
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    -- authorised: the amount is held for the payment. declined: it is not. captured: the one charge. voided: what was
    -- held is free again, and nothing will ever be held or charged for this id.
    kind text NOT NULL CHECK (kind IN ('authorised', 'declined', 'captured', 'voided')),
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    -- Why it was declined.
    reason text CHECK ((reason IS NOT NULL) = (kind = 'declined')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ledger_pkey PRIMARY KEY (entry_id),
    CONSTRAINT ledger_payment_id_kind_key UNIQUE (payment_id, kind)
);
