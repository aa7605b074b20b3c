#!/bin/sh
# Creates the database `warehouse` and its roles in a new PostgreSQL with PostGIS, as docs/reference/ledger.md says.
# The image of the warehouse runs it once. By hand: PGHOST=... PGUSER=postgres OWNER_PASSWORD=... ./create-roles.sh
: "${OWNER_PASSWORD:?}" "${LOADER_PASSWORD:?}" "${JOBS_PASSWORD:?}" "${READER_PASSWORD:?}"

# \getenv: no password becomes an argument, which every user of the machine could read
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-${PGUSER:-postgres}}" --dbname postgres <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv loader_password LOADER_PASSWORD
\getenv jobs_password JOBS_PASSWORD
\getenv reader_password READER_PASSWORD
CREATE ROLE sluiceway_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE sluiceway_loader LOGIN PASSWORD :'loader_password';
CREATE ROLE sluiceway_reader LOGIN PASSWORD :'reader_password';
CREATE ROLE sluiceway_jobs LOGIN PASSWORD :'jobs_password';
ALTER ROLE sluiceway_owner SET idle_in_transaction_session_timeout = '10min';
ALTER ROLE sluiceway_loader SET idle_in_transaction_session_timeout = '2h';
ALTER ROLE sluiceway_jobs SET idle_in_transaction_session_timeout = '10min';
ALTER ROLE sluiceway_reader SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE sluiceway_reader SET statement_timeout = '1min';
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
CREATE DATABASE warehouse OWNER sluiceway_owner;
\connect warehouse
CREATE EXTENSION postgis;
REVOKE ALL ON DATABASE warehouse FROM PUBLIC;
ALTER SCHEMA public OWNER TO sluiceway_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE warehouse TO sluiceway_loader, sluiceway_jobs;
GRANT CONNECT ON DATABASE warehouse TO sluiceway_reader;
GRANT USAGE, CREATE ON SCHEMA public TO sluiceway_loader;
GRANT USAGE ON SCHEMA public TO sluiceway_reader;
GRANT sluiceway_reader TO sluiceway_jobs;
ALTER DEFAULT PRIVILEGES FOR ROLE sluiceway_loader IN SCHEMA public GRANT SELECT ON TABLES TO sluiceway_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE sluiceway_owner IN SCHEMA public GRANT SELECT ON TABLES TO sluiceway_reader;
DO $$
DECLARE it regprocedure;
BEGIN
    -- everybody may call these, unless told otherwise: a large object is room that nobody sees, and who holds a
    -- lock of a load keeps that load from running
    FOR it IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname ~ '^(lo_|loread|lowrite|pg_(try_)?advisory_(xact_)?lock)' LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', it);
        IF it::text ~ 'advisory' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO sluiceway_owner, sluiceway_loader, sluiceway_jobs', it);
        END IF;
    END LOOP;
END $$;
SQL
