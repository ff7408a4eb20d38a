-- Tables that a relay has detached from the outbox and not yet dropped, by what it wrote on them before.
SELECT pg_catalog.format('%I.%I', namespace.nspname, detached.relname) AS "table!"
FROM pg_catalog.pg_description AS description
JOIN pg_catalog.pg_class AS detached ON detached.oid = description.objoid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = detached.relnamespace
WHERE description.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND description.objsubid = 0
    AND description.description LIKE 'outbox-relay: published since % to be dropped'
    AND detached.relkind = 'r'
    AND NOT detached.relispartition
    AND namespace.nspname = 'messaging'
ORDER BY detached.relname
