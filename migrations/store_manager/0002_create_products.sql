-- Products: what is sold. Stock: how many of each are on hand, without what open orders hold.

CREATE TABLE store_manager.products (
    product_id uuid NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    sku text NOT NULL CHECK (sku <> ''),
    price_minor bigint NOT NULL CHECK (price_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT products_pkey PRIMARY KEY (product_id),
    CONSTRAINT products_sku_key UNIQUE (sku)
);

-- A table of its own, so that taking stock never waits for those who read a product `FOR KEY SHARE`.
CREATE TABLE store_manager.stock (
    product_id uuid NOT NULL,
    quantity bigint NOT NULL CONSTRAINT stock_is_never_negative CHECK (quantity >= 0),
    -- Counts the changes, so that a reader of events can tell which of two is the later one.
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_pkey PRIMARY KEY (product_id),
    CONSTRAINT stock_product_id_fkey FOREIGN KEY (product_id) REFERENCES store_manager.products
) WITH (fillfactor = 50);
