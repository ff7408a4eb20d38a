-- What has become of transactions that may fill gaps, by their ids with the epoch.
--
-- This must run in the snapshot of the look, of which it says which of them it holds to be in progress: it shows no row of those.
-- Transactions with an id above the snapshot's xmax are in progress too, and not in its list, so the function is asked and not the list.
-- That one was rolled back is true for ever, whenever it became so. PostgreSQL forgets the outcome of very old transactions: these may
-- have committed.
SELECT
    id AS "id!",
    NOT pg_catalog.pg_visible_in_snapshot(id::text::xid8, pg_catalog.pg_current_snapshot()) AS "in_progress!",
    pg_catalog.pg_xact_status(id::text::xid8) IS NOT DISTINCT FROM 'aborted' AS "rolled_back!"
FROM unnest($1::bigint[]) AS filler (id)
