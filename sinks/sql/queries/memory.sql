-- name: memories
INSERT INTO memories (
    tenant_id, event_id, customer_id, conversation_id, turn_id, question, answer, at_ms
)
SELECT
    r.tenant_id, r.event_id, r.customer_id, r.conversation_id, r.turn_id, r.question, r.answer,
    r.at_ms
FROM jsonb_to_recordset($1) AS r (
    tenant_id text, event_id text, customer_id text, conversation_id text, turn_id text,
    question text, answer text, at_ms bigint
)
ORDER BY r.tenant_id, r.event_id
ON CONFLICT DO NOTHING;

-- name: facts
INSERT INTO facts AS f (tenant_id, customer_id, name, value, event_id, at_ms)
SELECT DISTINCT ON (r.tenant_id, r.customer_id, r.name)
    r.tenant_id, r.customer_id, r.name, r.value, r.event_id, r.at_ms
FROM jsonb_to_recordset($1) AS r (
    tenant_id text, customer_id text, name text, value text, event_id text, at_ms bigint
)
ORDER BY r.tenant_id, r.customer_id, r.name, r.at_ms DESC, r.event_id DESC, r.value DESC
ON CONFLICT (tenant_id, customer_id, name) DO UPDATE
SET value = excluded.value, event_id = excluded.event_id, at_ms = excluded.at_ms
WHERE (excluded.at_ms, excluded.event_id, excluded.value) > (f.at_ms, f.event_id, f.value);
