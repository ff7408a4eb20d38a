-- Users: who orders and who runs the store.

CREATE SCHEMA IF NOT EXISTS store_manager;

CREATE TABLE store_manager.users (
    user_id uuid NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    email text NOT NULL CHECK (email <> ''),
    type text NOT NULL CHECK (type IN ('CLIENT', 'EMPLOYEE', 'MANAGER')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (user_id)
);

-- One user an address, whatever the case.
CREATE UNIQUE INDEX users_email_key ON store_manager.users (lower(email));
