-- Whether the publication tells of every insert into the outbox, whole, as the outbox's and not as a partition's.
--
-- Row filters and column lists came with PostgreSQL 15. What an unlogged partition holds is in no WAL.
SELECT
    EXISTS (
        SELECT FROM pg_catalog.pg_publication WHERE pubname = 'messaging_outbox'
    ) AS "exists!",
    EXISTS (
        SELECT
        FROM pg_catalog.pg_publication AS publication
        JOIN pg_catalog.pg_publication_rel AS relation ON relation.prpubid = publication.oid
        WHERE publication.pubname = 'messaging_outbox'
            AND publication.pubinsert
            AND publication.pubviaroot
            AND relation.prrelid = 'messaging.outbox'::pg_catalog.regclass
            AND (pg_catalog.to_jsonb(relation) ->> 'prqual') IS NULL
            AND (pg_catalog.to_jsonb(relation) ->> 'prattrs') IS NULL
    ) AS "whole!",
    (
        SELECT min(pg_class.oid::pg_catalog.regclass::text)
        FROM pg_catalog.pg_inherits
        JOIN pg_catalog.pg_class ON pg_class.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = 'messaging.outbox'::pg_catalog.regclass
            AND pg_class.relpersistence <> 'p'
    ) AS unlogged
