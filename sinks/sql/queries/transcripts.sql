-- Every statement takes its rows as one JSON array and merges them so that neither repetition
-- nor the order between topics changes the result.

-- name: contacts_missing
INSERT INTO contacts (tenant_id, customer_id)
SELECT DISTINCT r.tenant_id, r.customer_id
FROM jsonb_to_recordset($1) AS r (tenant_id text, customer_id text)
WHERE NOT EXISTS (
    SELECT 1 FROM contacts c
    WHERE c.tenant_id = r.tenant_id AND c.customer_id = r.customer_id
)
ORDER BY r.tenant_id, r.customer_id
ON CONFLICT DO NOTHING;

-- name: contacts_named
WITH r AS (
    SELECT
        tenant_id,
        customer_id,
        (array_agg(name ORDER BY at_ms DESC, name DESC) FILTER (WHERE name <> ''))[1] AS name,
        max(at_ms) FILTER (WHERE name <> '') AS name_ms,
        (array_agg(wa_id ORDER BY at_ms DESC, wa_id DESC) FILTER (WHERE wa_id <> ''))[1] AS wa_id,
        max(at_ms) FILTER (WHERE wa_id <> '') AS wa_id_ms,
        (array_agg(user_id ORDER BY at_ms DESC, user_id DESC) FILTER (WHERE user_id <> ''))[1]
            AS user_id,
        max(at_ms) FILTER (WHERE user_id <> '') AS user_id_ms
    FROM jsonb_to_recordset($1) AS x (
        tenant_id text, customer_id text, name text, wa_id text, user_id text, at_ms bigint
    )
    GROUP BY tenant_id, customer_id
    ORDER BY tenant_id, customer_id
)
UPDATE contacts c
SET
    name = CASE WHEN (r.name_ms, r.name) > (c.name_ms, c.name) THEN r.name ELSE c.name END,
    name_ms = greatest(c.name_ms, r.name_ms),
    wa_id = CASE WHEN (r.wa_id_ms, r.wa_id) > (c.wa_id_ms, c.wa_id) THEN r.wa_id ELSE c.wa_id END,
    wa_id_ms = greatest(c.wa_id_ms, r.wa_id_ms),
    user_id = CASE
        WHEN (r.user_id_ms, r.user_id) > (c.user_id_ms, c.user_id) THEN r.user_id ELSE c.user_id
    END,
    user_id_ms = greatest(c.user_id_ms, r.user_id_ms)
FROM r
WHERE
    c.tenant_id = r.tenant_id AND c.customer_id = r.customer_id
    AND (
        (r.name_ms, r.name) > (c.name_ms, c.name)
        OR (r.wa_id_ms, r.wa_id) > (c.wa_id_ms, c.wa_id)
        OR (r.user_id_ms, r.user_id) > (c.user_id_ms, c.user_id)
    );

-- name: conversations_seen
WITH r AS (
    SELECT
        tenant_id,
        conversation_id,
        max(customer_id) AS customer_id,
        max(phone_number_id) AS phone_number_id
    FROM jsonb_to_recordset($1) AS x (
        tenant_id text, conversation_id text, customer_id text, phone_number_id text
    )
    GROUP BY tenant_id, conversation_id
    ORDER BY tenant_id, conversation_id
), filled AS (
    UPDATE conversations c SET phone_number_id = r.phone_number_id
    FROM r
    WHERE
        c.tenant_id = r.tenant_id AND c.conversation_id = r.conversation_id
        AND c.phone_number_id = '' AND r.phone_number_id <> ''
)
INSERT INTO conversations (tenant_id, conversation_id, customer_id, phone_number_id)
SELECT r.tenant_id, r.conversation_id, r.customer_id, r.phone_number_id
FROM r
WHERE NOT EXISTS (
    SELECT 1 FROM conversations c
    WHERE c.tenant_id = r.tenant_id AND c.conversation_id = r.conversation_id
)
ORDER BY r.tenant_id, r.conversation_id
ON CONFLICT DO NOTHING;

-- name: conversations_taken
-- Writers of one conversation wait for each other here, in the order of their keys. Who comes
-- second sees what the first has written: else its newest message would be taken for the newest.
SELECT c.ticket_id
FROM conversations c
JOIN jsonb_to_recordset($1) AS r (tenant_id text, conversation_id text)
    ON c.tenant_id = r.tenant_id AND c.conversation_id = r.conversation_id
ORDER BY c.tenant_id, c.conversation_id
FOR NO KEY UPDATE OF c;

-- name: messages_received
INSERT INTO messages (
    tenant_id, conversation_id, id, wamid, from_me, author, kind, body, media,
    reply_to_wamid, target_wamid, trace_id, at_ms
)
SELECT DISTINCT ON (r.tenant_id, r.conversation_id, r.id)
    r.tenant_id, r.conversation_id, r.id, r.id, r.from_me, r.author, r.kind, r.body, r.media,
    r.reply_to_wamid, r.target_wamid, r.trace_id, r.at_ms
FROM jsonb_to_recordset($1) AS r (
    tenant_id text, conversation_id text, id text, from_me boolean, author text, kind text,
    body text, media jsonb, reply_to_wamid text, target_wamid text, trace_id text, at_ms bigint
)
ORDER BY r.tenant_id, r.conversation_id, r.id, r.at_ms
ON CONFLICT (tenant_id, conversation_id, id) DO UPDATE SET at_ms = excluded.at_ms
WHERE excluded.at_ms < messages.at_ms
RETURNING tenant_id, conversation_id, id, target_wamid, kind, xmax = 0 AS created;

-- name: messages_sent
INSERT INTO messages AS m (
    tenant_id, conversation_id, id, wamid, from_me, author, kind, body, turn_id, trace_id, at_ms,
    state, state_rank, attempt, error_code, reason
)
SELECT
    tenant_id, conversation_id, id, max(wamid), true, max(author), 'text', max(body), max(turn_id),
    max(trace_id), min(at_ms),
    (array_agg(state ORDER BY attempt DESC, state_rank DESC))[1],
    (array_agg(state_rank ORDER BY attempt DESC, state_rank DESC))[1],
    max(attempt),
    (array_agg(error_code ORDER BY attempt DESC, state_rank DESC))[1],
    (array_agg(reason ORDER BY attempt DESC, state_rank DESC))[1]
FROM jsonb_to_recordset($1) AS r (
    tenant_id text, conversation_id text, id text, wamid text, author text, body text,
    turn_id text, trace_id text, at_ms bigint, state text, state_rank smallint, attempt integer,
    error_code bigint, reason text
)
GROUP BY tenant_id, conversation_id, id
ORDER BY tenant_id, conversation_id, id
ON CONFLICT (tenant_id, conversation_id, id) DO UPDATE
SET
    wamid = greatest(m.wamid, excluded.wamid),
    body = greatest(m.body, excluded.body),
    turn_id = greatest(m.turn_id, excluded.turn_id),
    at_ms = least(m.at_ms, excluded.at_ms),
    state = CASE
        WHEN (excluded.attempt, excluded.state_rank) > (m.attempt, m.state_rank)
            THEN excluded.state
        ELSE m.state
    END,
    error_code = CASE
        WHEN (excluded.attempt, excluded.state_rank) > (m.attempt, m.state_rank)
            THEN excluded.error_code
        ELSE m.error_code
    END,
    reason = CASE
        WHEN (excluded.attempt, excluded.state_rank) > (m.attempt, m.state_rank)
            THEN excluded.reason
        ELSE m.reason
    END,
    state_rank = CASE
        WHEN (excluded.attempt, excluded.state_rank) > (m.attempt, m.state_rank)
            THEN excluded.state_rank
        ELSE m.state_rank
    END,
    attempt = greatest(m.attempt, excluded.attempt)
WHERE
    (excluded.attempt, excluded.state_rank) > (m.attempt, m.state_rank)
    OR excluded.at_ms < m.at_ms
    OR greatest(m.wamid, excluded.wamid) IS DISTINCT FROM m.wamid
    OR greatest(m.body, excluded.body) IS DISTINCT FROM m.body
    OR greatest(m.turn_id, excluded.turn_id) IS DISTINCT FROM m.turn_id
RETURNING m.tenant_id, m.conversation_id, m.id, m.target_wamid, m.kind, m.xmax = 0 AS created;

-- name: statuses
INSERT INTO message_statuses (
    tenant_id, event_id, conversation_id, message_id, state, attempt, at_ms, error_code, reason
)
SELECT DISTINCT ON (r.tenant_id, r.event_id)
    r.tenant_id, r.event_id, r.conversation_id, r.id, r.state, r.attempt, r.status_ms,
    r.error_code, r.reason
FROM jsonb_to_recordset($1) AS r (
    tenant_id text, event_id text, conversation_id text, id text, state text, attempt integer,
    status_ms bigint, error_code bigint, reason text
)
ORDER BY r.tenant_id, r.event_id
ON CONFLICT DO NOTHING;

-- name: replies
INSERT INTO replies (tenant_id, event_id, conversation_id, trace_id, agent_user, body, at_ms)
SELECT DISTINCT ON (r.tenant_id, r.event_id)
    r.tenant_id, r.event_id, r.conversation_id, r.trace_id, r.agent_user, r.body, r.at_ms
FROM jsonb_to_recordset($1) AS r (
    tenant_id text, event_id text, conversation_id text, trace_id text, agent_user text,
    body text, at_ms bigint
)
ORDER BY r.tenant_id, r.event_id, r.at_ms
ON CONFLICT (tenant_id, event_id) DO UPDATE SET at_ms = excluded.at_ms
WHERE excluded.at_ms < replies.at_ms;

-- name: states
WITH r AS (
    SELECT * FROM jsonb_to_recordset($1) AS x (
        tenant_id text, conversation_id text, seq bigint, decided_ms bigint, phase text,
        epoch bigint, turn_seq bigint, owner text, agent_user text, intent text, decision text,
        reason text, takeover_pending boolean, unread integer, window_expires_ms bigint
    )
    ORDER BY tenant_id, conversation_id
), before AS (
    SELECT t.tenant_id, t.conversation_id, t.status, t.agent_user
    FROM tickets t JOIN r USING (tenant_id, conversation_id)
)
UPDATE conversations c
SET
    seq = r.seq,
    decided_ms = r.decided_ms,
    phase = r.phase,
    epoch = r.epoch,
    turn_seq = r.turn_seq,
    owner = r.owner,
    agent_user = r.agent_user,
    intent = r.intent,
    decision = r.decision,
    reason = r.reason,
    takeover_pending = r.takeover_pending,
    unread = r.unread,
    window_expires_ms = r.window_expires_ms
FROM r JOIN before b USING (tenant_id, conversation_id)
WHERE
    c.tenant_id = r.tenant_id AND c.conversation_id = r.conversation_id
    AND (r.seq > c.seq OR r.decided_ms > c.decided_ms + $2)
RETURNING c.tenant_id, c.conversation_id, b.status AS status_before, b.agent_user AS user_before;

-- name: called
-- A person is called while the state of a conversation cannot be read. What is known of it stays
-- as it was; who has it already keeps it.
WITH r AS (
    SELECT * FROM jsonb_to_recordset($1) AS x (
        tenant_id text, conversation_id text, decided_ms bigint, phase text, owner text,
        agent_user text, decision text, reason text
    )
    ORDER BY tenant_id, conversation_id
), before AS (
    SELECT t.tenant_id, t.conversation_id, t.status, t.agent_user
    FROM tickets t JOIN r USING (tenant_id, conversation_id)
)
UPDATE conversations c
SET
    decided_ms = r.decided_ms,
    phase = r.phase,
    owner = r.owner,
    agent_user = r.agent_user,
    decision = r.decision,
    reason = r.reason
FROM r JOIN before b USING (tenant_id, conversation_id)
WHERE
    c.tenant_id = r.tenant_id AND c.conversation_id = r.conversation_id
    AND r.decided_ms > c.decided_ms AND c.phase IN ('idle', 'gathering', 'thinking', 'closed')
RETURNING c.tenant_id, c.conversation_id, b.status AS status_before, b.agent_user AS user_before;

-- name: turns
INSERT INTO turns AS t (
    tenant_id, turn_id, conversation_id, turn_seq, epoch, seq, owner, decision, reason,
    began_ms, changed_ms
)
SELECT
    tenant_id, turn_id, max(conversation_id), max(turn_seq),
    (array_agg(epoch ORDER BY seq DESC))[1],
    max(seq),
    (array_agg(owner ORDER BY seq DESC))[1],
    (array_agg(decision ORDER BY seq DESC))[1],
    (array_agg(reason ORDER BY seq DESC))[1],
    min(decided_ms), max(decided_ms)
FROM jsonb_to_recordset($1) AS r (
    tenant_id text, turn_id text, conversation_id text, turn_seq bigint, epoch bigint, seq bigint,
    owner text, decision text, reason text, decided_ms bigint
)
GROUP BY tenant_id, turn_id
ORDER BY tenant_id, turn_id
ON CONFLICT (tenant_id, turn_id) DO UPDATE
SET
    turn_seq = greatest(t.turn_seq, excluded.turn_seq),
    epoch = CASE WHEN excluded.seq > t.seq THEN excluded.epoch ELSE t.epoch END,
    owner = CASE WHEN excluded.seq > t.seq THEN excluded.owner ELSE t.owner END,
    decision = CASE WHEN excluded.seq > t.seq THEN excluded.decision ELSE t.decision END,
    reason = CASE WHEN excluded.seq > t.seq THEN excluded.reason ELSE t.reason END,
    seq = greatest(t.seq, excluded.seq),
    began_ms = least(t.began_ms, excluded.began_ms),
    changed_ms = greatest(t.changed_ms, excluded.changed_ms);

-- name: outcomes
INSERT INTO outcomes AS o (
    tenant_id, phone_number_id, wamid, conversation_id, outcome, reason, turn_id, seq, at_ms
)
SELECT DISTINCT ON (r.tenant_id, r.phone_number_id, r.wamid)
    r.tenant_id, r.phone_number_id, r.wamid, r.conversation_id, r.outcome, r.reason, r.turn_id,
    r.seq, r.decided_ms
FROM jsonb_to_recordset($1) AS r (
    tenant_id text, phone_number_id text, wamid text, conversation_id text, outcome text,
    reason text, turn_id text, seq bigint, decided_ms bigint
)
ORDER BY r.tenant_id, r.phone_number_id, r.wamid, r.seq DESC
ON CONFLICT (tenant_id, phone_number_id, wamid) DO UPDATE
SET
    outcome = excluded.outcome,
    reason = excluded.reason,
    turn_id = excluded.turn_id,
    seq = excluded.seq,
    at_ms = excluded.at_ms
WHERE excluded.seq > o.seq;

-- name: newest
WITH r AS (
    SELECT DISTINCT tenant_id, conversation_id
    FROM jsonb_to_recordset($1) AS x (tenant_id text, conversation_id text)
    ORDER BY tenant_id, conversation_id
)
UPDATE conversations c
SET
    last_ms = m.at_ms,
    last_id = m.id,
    last_message = coalesce(e.body, m.body, m.kind),
    last_from_me = m.from_me,
    first_ms = least(c.first_ms, f.at_ms)
FROM r
CROSS JOIN LATERAL (
    SELECT n.at_ms, n.id, n.wamid, n.body, n.kind, n.from_me FROM messages n
    WHERE
        n.tenant_id = r.tenant_id AND n.conversation_id = r.conversation_id
        AND n.kind NOT IN ('reaction', 'edit', 'revoke', 'system') AND n.state <> 'dropped'
    ORDER BY n.at_ms DESC, n.id DESC
    LIMIT 1
) m
LEFT JOIN LATERAL (
    SELECT v.body FROM messages v
    WHERE
        v.tenant_id = r.tenant_id AND v.conversation_id = r.conversation_id
        AND v.target_wamid = m.wamid AND v.kind = 'edit'
    ORDER BY v.at_ms DESC, v.id DESC
    LIMIT 1
) e ON true
CROSS JOIN LATERAL (
    SELECT n.at_ms FROM messages n
    WHERE n.tenant_id = r.tenant_id AND n.conversation_id = r.conversation_id
    ORDER BY n.at_ms, n.id
    LIMIT 1
) f
WHERE c.tenant_id = r.tenant_id AND c.conversation_id = r.conversation_id;
