-- Times are Unix milliseconds: WhatsApp's may be wrong by any amount, a timestamp would refuse them.

CREATE TABLE contacts (
    id          integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    tenant_id   text NOT NULL,
    customer_id text NOT NULL,
    name        text NOT NULL DEFAULT '',
    name_ms     bigint NOT NULL DEFAULT 0,
    wa_id       text NOT NULL DEFAULT '',
    wa_id_ms    bigint NOT NULL DEFAULT 0,
    user_id     text NOT NULL DEFAULT '',
    user_id_ms  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, customer_id)
);

-- One row a conversation, and so one ticket: closing and reopening is its phase.
-- `seq` guards what dispatch decided: an older step never undoes a newer one.
CREATE TABLE conversations (
    tenant_id         text NOT NULL,
    conversation_id   text NOT NULL,
    ticket_id         integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    customer_id       text NOT NULL,
    phone_number_id   text NOT NULL DEFAULT '',
    seq               bigint NOT NULL DEFAULT 0,
    decided_ms        bigint NOT NULL DEFAULT 0,
    phase             text NOT NULL DEFAULT 'idle',
    epoch             bigint NOT NULL DEFAULT 0,
    turn_seq          bigint NOT NULL DEFAULT 0,
    owner             text,
    agent_user        text,
    intent            text,
    decision          text NOT NULL DEFAULT '',
    reason            text NOT NULL DEFAULT '',
    takeover_pending  boolean NOT NULL DEFAULT false,
    unread            integer NOT NULL DEFAULT 0,
    window_expires_ms bigint,
    first_ms          bigint,
    last_ms           bigint NOT NULL DEFAULT 0,
    last_id           text NOT NULL DEFAULT '',
    last_message      text NOT NULL DEFAULT '',
    last_from_me      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, conversation_id)
);

CREATE INDEX conversations_newest ON conversations (tenant_id, (greatest(last_ms, decided_ms)) DESC);
CREATE INDEX conversations_customer ON conversations (tenant_id, customer_id);
-- The people's API knows a conversation by its id alone.
CREATE INDEX conversations_id ON conversations (conversation_id);

-- `id` is the wamid of what was received, the bubble's id of what we sent.
CREATE TABLE messages (
    tenant_id       text NOT NULL,
    conversation_id text NOT NULL,
    id              text NOT NULL,
    wamid           text,
    from_me         boolean NOT NULL,
    author          text NOT NULL,
    kind            text NOT NULL,
    body            text,
    media           jsonb,
    reply_to_wamid  text,
    target_wamid    text,
    turn_id         text,
    trace_id        text NOT NULL,
    at_ms           bigint NOT NULL,
    state           text NOT NULL DEFAULT '',
    state_rank      smallint NOT NULL DEFAULT 0,
    attempt         integer NOT NULL DEFAULT 0,
    error_code      bigint NOT NULL DEFAULT 0,
    reason          text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, conversation_id, id)
);

CREATE INDEX messages_newest ON messages (tenant_id, conversation_id, at_ms DESC, id DESC);
CREATE INDEX messages_wamid ON messages (tenant_id, conversation_id, wamid);
CREATE INDEX messages_target ON messages (tenant_id, conversation_id, target_wamid)
    WHERE target_wamid IS NOT NULL;

CREATE TABLE message_statuses (
    tenant_id       text NOT NULL,
    event_id        text NOT NULL,
    conversation_id text NOT NULL,
    message_id      text NOT NULL,
    state           text NOT NULL,
    attempt         integer NOT NULL,
    at_ms           bigint NOT NULL,
    error_code      bigint NOT NULL,
    reason          text NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);

CREATE INDEX message_statuses_message
    ON message_statuses (tenant_id, conversation_id, message_id, at_ms);

-- What people asked to send; the bubble that sends it has the same trace.
CREATE TABLE replies (
    tenant_id       text NOT NULL,
    event_id        text NOT NULL,
    conversation_id text NOT NULL,
    trace_id        text NOT NULL,
    agent_user      text,
    body            text,
    at_ms           bigint NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);

CREATE INDEX replies_trace ON replies (tenant_id, conversation_id, trace_id);

CREATE TABLE turns (
    tenant_id       text NOT NULL,
    turn_id         text NOT NULL,
    conversation_id text NOT NULL,
    turn_seq        bigint NOT NULL,
    epoch           bigint NOT NULL,
    seq             bigint NOT NULL,
    owner           text,
    decision        text NOT NULL,
    reason          text NOT NULL,
    began_ms        bigint NOT NULL,
    changed_ms      bigint NOT NULL,
    PRIMARY KEY (tenant_id, turn_id)
);

CREATE INDEX turns_conversation ON turns (tenant_id, conversation_id, turn_seq);

-- How each inbound message ended: exactly one row for each (promise I3).
CREATE TABLE outcomes (
    tenant_id       text NOT NULL,
    phone_number_id text NOT NULL,
    wamid           text NOT NULL,
    conversation_id text NOT NULL,
    outcome         text NOT NULL,
    reason          text NOT NULL,
    turn_id         text,
    seq             bigint NOT NULL,
    at_ms           bigint NOT NULL,
    PRIMARY KEY (tenant_id, phone_number_id, wamid)
);

CREATE INDEX outcomes_conversation ON outcomes (tenant_id, conversation_id, at_ms);

-- Tickets in the helpdesk's words. Open: a person has it. Pending: nobody has; `chatbot` when
-- the AI answers it.
CREATE VIEW tickets AS
SELECT
    ticket_id AS id,
    tenant_id,
    conversation_id,
    customer_id,
    phone_number_id,
    CASE
        WHEN phase = 'closed' THEN 'closed'
        WHEN phase IN ('with_human', 'paused', 'parked') AND agent_user IS NOT NULL THEN 'open'
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
