-- name: place
-- A conversation whose first message is not in the transcript yet is known by its identity.
SELECT
    known.tenant_id, known.conversation_id, known.customer_id, known.phone_number_id,
    coalesce(nullif(n.wa_id, ''), named.wa_id, '') AS wa_id,
    coalesce(nullif(n.user_id, ''), named.user_id, '') AS user_id
FROM (
    SELECT 0 AS place, tenant_id, conversation_id, customer_id, phone_number_id
    FROM conversations
    WHERE conversation_id = $1 AND phone_number_id <> ''
    UNION ALL
    SELECT 1, tenant_id, conversation_id, customer_id, phone_number_id
    FROM identity
    WHERE conversation_id = $1
) AS known
LEFT JOIN contacts n ON n.tenant_id = known.tenant_id AND n.customer_id = known.customer_id
CROSS JOIN (
    SELECT
        max(substr(identifier, 4)) FILTER (WHERE identifier LIKE 'wa:%') AS wa_id,
        max(substr(identifier, 6)) FILTER (WHERE identifier LIKE 'user:%') AS user_id
    FROM identity
    WHERE conversation_id = $1
) AS named
ORDER BY known.place
LIMIT 1;

-- name: newest
SELECT
    t.id AS ticket_id, t.conversation_id, t.status, t.chatbot, c.phase, c.owner, t.agent_user,
    t.unread, t.last_message, t.last_from_me, t.updated_ms, c.takeover_pending, n.name AS customer
FROM tickets t
JOIN conversations c ON c.tenant_id = t.tenant_id AND c.conversation_id = t.conversation_id
LEFT JOIN contacts n ON n.tenant_id = t.tenant_id AND n.customer_id = t.customer_id
WHERE
    t.tenant_id = $1
    AND ($2::text IS NULL OR t.status = $2)
    -- By itself, so that a later page begins in the index where the page before ended.
    AND t.updated_ms <= coalesce($3::bigint, 9223372036854775807)
    AND ($3 IS NULL OR t.updated_ms < $3 OR t.conversation_id > $4::text)
ORDER BY t.updated_ms DESC, t.conversation_id
LIMIT $5;

-- name: stands
SELECT
    t.id AS ticket_id, t.status, t.chatbot, t.updated_ms, c.tenant_id, c.conversation_id,
    c.customer_id, c.phone_number_id, c.seq, c.phase, c.epoch, c.turn_seq, c.owner, c.agent_user,
    c.intent, c.decision, c.reason, c.takeover_pending, c.unread, c.window_expires_ms,
    n.name AS customer
FROM conversations c
JOIN tickets t ON t.tenant_id = c.tenant_id AND t.conversation_id = c.conversation_id
LEFT JOIN contacts n ON n.tenant_id = c.tenant_id AND n.customer_id = c.customer_id
WHERE c.tenant_id = $1 AND c.conversation_id = $2;

-- name: messages
SELECT id, wamid, from_me, author, kind, body, state, attempt, error_code, reason, turn_id, at_ms
FROM messages
WHERE tenant_id = $1 AND conversation_id = $2
ORDER BY at_ms DESC, id DESC
LIMIT $3;

-- name: turns
SELECT turn_id, turn_seq, epoch, owner, decision, reason, began_ms, changed_ms
FROM turns
WHERE tenant_id = $1 AND conversation_id = $2
ORDER BY turn_seq DESC
LIMIT $3;

-- name: outcomes
SELECT wamid, outcome, reason, turn_id, at_ms
FROM outcomes
WHERE tenant_id = $1 AND conversation_id = $2
ORDER BY at_ms DESC, wamid DESC
LIMIT $3;

-- name: tickets
SELECT
    t.*, n.company, c.id AS contact_id, coalesce(c.name, '') AS contact_name,
    coalesce(c.wa_id, '') AS contact_number, h.id AS channel_id
FROM jsonb_to_recordset($1) AS r (tenant_id text, conversation_id text)
JOIN tickets t ON t.tenant_id = r.tenant_id AND t.conversation_id = r.conversation_id
JOIN tenants n ON n.tenant_id = t.tenant_id
LEFT JOIN contacts c ON c.tenant_id = t.tenant_id AND c.customer_id = t.customer_id
LEFT JOIN channels h ON h.tenant_id = t.tenant_id AND h.phone_number_id = t.phone_number_id;

-- name: bubbles
SELECT
    m.tenant_id, m.conversation_id, m.id, m.wamid, m.from_me, m.author, m.kind, m.media, m.state,
    m.at_ms, coalesce(e.body, m.body, '') AS body, e.body IS NOT NULL AS edited,
    EXISTS (
        SELECT 1 FROM messages v
        WHERE
            v.tenant_id = m.tenant_id AND v.conversation_id = m.conversation_id
            AND v.target_wamid = m.wamid AND v.kind = 'revoke'
    ) AS deleted,
    q.id AS quoted_id, q.body AS quoted_body, q.from_me AS quoted_from_me
FROM jsonb_to_recordset($1) AS r (tenant_id text, conversation_id text, id text)
JOIN messages m
    ON m.tenant_id = r.tenant_id AND m.conversation_id = r.conversation_id
    AND (m.id = r.id OR m.wamid = r.id)
LEFT JOIN LATERAL (
    SELECT v.body FROM messages v
    WHERE
        v.tenant_id = m.tenant_id AND v.conversation_id = m.conversation_id
        AND v.target_wamid = m.wamid AND v.kind = 'edit'
    ORDER BY v.at_ms DESC, v.id DESC
    LIMIT 1
) e ON true
LEFT JOIN LATERAL (
    SELECT v.id, v.body, v.from_me FROM messages v
    WHERE
        v.tenant_id = m.tenant_id AND v.conversation_id = m.conversation_id
        AND v.wamid = m.reply_to_wamid
    ORDER BY v.id
    LIMIT 1
) q ON true
ORDER BY m.at_ms, m.id;

-- name: watchable
SELECT t.agent_user
FROM tickets t JOIN tenants n ON n.tenant_id = t.tenant_id
WHERE n.company = $1 AND t.id = $2;
