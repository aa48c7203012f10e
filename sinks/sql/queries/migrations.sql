-- name: lock
SELECT pg_advisory_xact_lock(7236089442171);

-- name: table
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: known
SELECT sha256 FROM schema_migrations WHERE number = $1;

-- name: record
INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3);
