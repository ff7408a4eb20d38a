-- Which seed data has been loaded, so that it is loaded once and what was deleted since stays deleted.

CREATE TABLE store_manager.seeds (
    name text NOT NULL,
    seeded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT seeds_pkey PRIMARY KEY (name)
);
