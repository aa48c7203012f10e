-- name: add
INSERT INTO tenants (tenant_id, settings) VALUES ($1, $2)
ON CONFLICT DO NOTHING
RETURNING true;

-- name: settings
SELECT settings FROM tenants WHERE tenant_id = $1 FOR UPDATE;

-- name: change
UPDATE tenants SET settings = $2, version = version + 1, updated_at = now() WHERE tenant_id = $1;

-- name: raise_version
UPDATE tenants SET version = version + 1, updated_at = now() WHERE tenant_id = $1;

-- name: history
INSERT INTO tenant_history (tenant_id, version, settings) VALUES ($1, $2, $3);

-- name: get
SELECT * FROM tenant_settings WHERE tenant_id = $1;

-- name: all
SELECT * FROM tenant_settings ORDER BY company;

-- name: announcing
-- Kafka is waited for inside it, for longer than others may be silent in a transaction.
SELECT
    set_config('idle_in_transaction_session_timeout', '0', true),
    pg_advisory_xact_lock(hashtextextended('announcing tenants', 0));

-- name: unpublished
SELECT * FROM tenant_settings WHERE version > published_version ORDER BY company;

-- name: published
UPDATE tenants SET published_version = greatest(published_version, $2) WHERE tenant_id = $1;

-- name: republish
UPDATE tenants SET published_version = 0 WHERE tenant_id = $1 OR $1::text IS NULL;

-- name: add_channel
INSERT INTO channels (phone_number_id, tenant_id, app_id, token, messages_per_second)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING tenant_id;

-- name: rotate_channel
UPDATE channels SET token = $2, token_version = token_version + 1, updated_at = now()
WHERE phone_number_id = $1
RETURNING tenant_id;

-- name: activate_channel
UPDATE channels SET active = $2, updated_at = now() WHERE phone_number_id = $1
RETURNING tenant_id;

-- name: limit_channel
UPDATE channels SET messages_per_second = $2, updated_at = now() WHERE phone_number_id = $1
RETURNING tenant_id;

-- name: add_app
INSERT INTO meta_apps (app_id, verify_token, secret) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING true;

-- name: rotate_app
UPDATE meta_apps SET previous_secret = secret, secret = $2, updated_at = now()
WHERE app_id = $1
RETURNING true;

-- name: apps
SELECT app_id FROM meta_apps ORDER BY app_id;
