-- Each privilege that publishing needs, and whether the role has it. By oid, because a name of a schema that the role may not use
-- cannot be resolved.
WITH needed (place, name, privilege) AS (
    VALUES
        (1, 'outbox', 'SELECT'),
        (2, 'outbox_epoch', 'SELECT'),
        (3, 'outbox_epoch', 'UPDATE'),
        (4, 'outbox_leader', 'SELECT'),
        (5, 'outbox_leader', 'UPDATE'),
        (6, 'outbox_command', 'SELECT'),
        (7, 'outbox_command', 'UPDATE'),
        (8, 'outbox_sequence', 'SELECT')
)
SELECT
    CURRENT_USER::text AS "role!",
    privilege || ' ON ' || CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END || 'messaging.' || name AS "name!",
    CASE relkind
        WHEN 'S' THEN pg_catalog.has_sequence_privilege(pg_class.oid, privilege)
        ELSE pg_catalog.has_table_privilege(pg_class.oid, privilege)
    END AS "granted!",
    place AS "place!"
FROM needed
JOIN pg_catalog.pg_class ON pg_class.relname = needed.name
JOIN pg_catalog.pg_namespace
    ON pg_namespace.oid = pg_class.relnamespace
    AND pg_namespace.nspname = 'messaging'
UNION ALL
SELECT
    CURRENT_USER::text,
    'USAGE ON SCHEMA messaging',
    pg_catalog.has_schema_privilege(oid, 'USAGE'),
    0
FROM pg_catalog.pg_namespace
WHERE nspname = 'messaging'
UNION ALL
SELECT
    CURRENT_USER::text,
    'EXECUTE ON FUNCTION pg_catalog.pg_control_system()',
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'),
    9
ORDER BY 4
