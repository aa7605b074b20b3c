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
CREATE DATABASE warehouse OWNER sluiceway_owner;
\connect warehouse
CREATE EXTENSION postgis;
REVOKE ALL ON DATABASE warehouse FROM PUBLIC;
ALTER SCHEMA public OWNER TO sluiceway_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE warehouse TO sluiceway_loader;
GRANT USAGE, CREATE ON SCHEMA public TO sluiceway_loader;
GRANT CONNECT ON DATABASE warehouse TO sluiceway_reader;
GRANT CONNECT, TEMPORARY ON DATABASE warehouse TO sluiceway_jobs;
GRANT sluiceway_reader TO sluiceway_jobs;
GRANT USAGE ON SCHEMA public TO sluiceway_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE sluiceway_loader IN SCHEMA public GRANT SELECT ON TABLES TO sluiceway_reader;
SQL
