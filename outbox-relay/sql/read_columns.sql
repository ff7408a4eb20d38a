-- The columns of the given tables of schema messaging. From the catalog, which everybody may read.
SELECT
    pg_class.relname::text AS "table!",
    pg_class.relkind::text AS "kind!",
    pg_attribute.attname::text AS "name!",
    pg_catalog.format_type(pg_attribute.atttypid, NULL) AS "data_type!",
    pg_catalog.pg_get_expr(pg_attrdef.adbin, pg_attrdef.adrelid) AS default
FROM pg_catalog.pg_namespace
JOIN pg_catalog.pg_class ON pg_class.relnamespace = pg_namespace.oid
JOIN pg_catalog.pg_attribute ON pg_attribute.attrelid = pg_class.oid
LEFT JOIN pg_catalog.pg_attrdef
    ON pg_attrdef.adrelid = pg_class.oid
    AND pg_attrdef.adnum = pg_attribute.attnum
WHERE pg_namespace.nspname = 'messaging'
    AND pg_class.relname = ANY ($1::text[])
    AND pg_attribute.attnum > 0
    AND NOT pg_attribute.attisdropped
