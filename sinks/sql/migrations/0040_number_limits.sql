-- What WhatsApp lets each business number carry, messages in and out; 0 is no limit.
ALTER TABLE channels ADD COLUMN messages_per_second integer NOT NULL DEFAULT 80
    CHECK (messages_per_second >= 0);

CREATE OR REPLACE VIEW tenant_settings AS
SELECT
    t.tenant_id,
    t.company,
    t.version,
    t.published_version,
    t.settings,
    (extract(epoch FROM t.updated_at) * 1000)::bigint AS changed_ms,
    coalesce(
        (
            SELECT jsonb_agg(
                jsonb_build_object(
                    'phone_number_id', c.phone_number_id, 'app_id', c.app_id,
                    'token_version', c.token_version, 'active', c.active,
                    'messages_per_second', c.messages_per_second
                )
                ORDER BY c.phone_number_id
            )
            FROM channels c WHERE c.tenant_id = t.tenant_id
        ),
        '[]'
    ) AS channels
FROM tenants t;
