-- A ticket is a person's only once the gate has confirmed it: until then the AI may be sending.
CREATE OR REPLACE VIEW tickets AS
SELECT
    ticket_id AS id,
    tenant_id,
    conversation_id,
    customer_id,
    phone_number_id,
    CASE
        WHEN phase = 'closed' THEN 'closed'
        WHEN phase IN ('with_human', 'paused', 'parked') AND agent_user IS NOT NULL
            AND NOT takeover_pending THEN 'open'
        ELSE 'pending'
    END AS status,
    phase IN ('idle', 'gathering', 'thinking') AS chatbot,
    agent_user,
    unread,
    last_message,
    last_from_me,
    first_ms,
    greatest(last_ms, decided_ms) AS updated_ms
FROM conversations;
