-- Orders, their lines, and each state they reached. The order's row is the lock of its saga: whoever appends an event about
-- an order holds it, so that the order of its events on Kafka is the order of the commits. Nothing is ever deleted.

CREATE TABLE store_manager.orders (
    order_id uuid NOT NULL,
    user_id uuid NOT NULL,
    state text NOT NULL CHECK (
        state IN ('DECREASING_STOCK', 'CREATING_PAYMENT', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'NEEDS_ATTENTION')
    ),
    total_minor bigint NOT NULL CHECK (total_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Whether the quantities of its lines are taken out of the stock, and not given back.
    stock_taken boolean NOT NULL DEFAULT false,
    is_paid boolean NOT NULL DEFAULT false,
    payment_id uuid,
    payment_link text,
    failure_reason text CHECK (
        failure_reason IN ('INSUFFICIENT_STOCK', 'PAYMENT_REFUSED', 'CANCELLED_BY_CALLER', 'STOCK_INCREASE_FAILED')
    ),
    failure_detail text,
    failure_product_id uuid,
    -- When SagaCompleted was announced: only the transaction that sets it announces.
    saga_completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_pkey PRIMARY KEY (order_id),
    CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES store_manager.users,
    CONSTRAINT orders_stock_follows_state CHECK (
        CASE state
            WHEN 'DECREASING_STOCK' THEN NOT stock_taken
            WHEN 'CREATING_PAYMENT' THEN stock_taken
            WHEN 'COMPLETED' THEN stock_taken
            WHEN 'CANCELLING' THEN true
            WHEN 'CANCELLED' THEN NOT stock_taken
            WHEN 'NEEDS_ATTENTION' THEN stock_taken
        END
    ),
    CONSTRAINT orders_paid_is_completed CHECK (NOT is_paid OR state = 'COMPLETED'),
    CONSTRAINT orders_completed_has_payment CHECK (state <> 'COMPLETED' OR payment_id IS NOT NULL),
    CONSTRAINT orders_failure_follows_state CHECK (
        (failure_reason IS NOT NULL) = (state IN ('CANCELLING', 'CANCELLED', 'NEEDS_ATTENTION'))
    ),
    CONSTRAINT orders_ended_saga_is_announced CHECK (
        saga_completed_at IS NOT NULL OR state NOT IN ('COMPLETED', 'NEEDS_ATTENTION')
    )
) WITH (fillfactor = 70);

-- Lists by user and by state, newest first; the first also answers whether a user has orders.
CREATE INDEX orders_user_id_idx ON store_manager.orders (user_id, order_id DESC);
CREATE INDEX orders_state_idx ON store_manager.orders (state, order_id DESC);

-- What is under way, the longest unmoved first; empty when nothing moves.
CREATE INDEX orders_under_way_idx ON store_manager.orders (updated_at)
WHERE saga_completed_at IS NULL OR state = 'CANCELLING';

CREATE TABLE store_manager.order_lines (
    order_id uuid NOT NULL,
    -- No foreign key: the line outlives the product, and keeps its name and SKU.
    product_id uuid NOT NULL,
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor > 0),
    name text NOT NULL,
    sku text NOT NULL,
    CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, product_id),
    CONSTRAINT order_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES store_manager.orders
);

-- Answers whether an order stands in the way of deleting a product.
CREATE INDEX order_lines_product_id_idx ON store_manager.order_lines (product_id);

CREATE TABLE store_manager.order_states (
    order_id uuid NOT NULL,
    -- Rises within an order, since its row is locked when the next one is drawn.
    state_id bigint GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL CHECK (
        state IN ('DECREASING_STOCK', 'CREATING_PAYMENT', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'NEEDS_ATTENTION')
    ),
    reached_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Why, where the state is one of failure.
    reason text,
    detail text,
    product_id uuid,
    CONSTRAINT order_states_pkey PRIMARY KEY (order_id, state_id),
    CONSTRAINT order_states_order_id_fkey FOREIGN KEY (order_id) REFERENCES store_manager.orders
);
