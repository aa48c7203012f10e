CREATE EXTENSION IF NOT EXISTS vector;

-- Pieces of a tenant's documents; the same words are kept once.
CREATE TABLE passages (
    tenant_id  text NOT NULL,
    passage_id text NOT NULL,
    source     text NOT NULL,
    ordinal    integer NOT NULL,
    body       text NOT NULL,
    sha256     text NOT NULL,
    embedding  vector(512) NOT NULL,
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, passage_id),
    UNIQUE (tenant_id, sha256)
);

CREATE INDEX passages_nearest ON passages USING hnsw (embedding vector_cosine_ops);
CREATE INDEX passages_source ON passages (tenant_id, source, ordinal);

-- What was asked and answered, once for each event.
CREATE TABLE memories (
    tenant_id       text NOT NULL,
    event_id        text NOT NULL,
    customer_id     text NOT NULL,
    conversation_id text NOT NULL,
    turn_id         text NOT NULL,
    question        text NOT NULL,
    answer          text NOT NULL,
    embedding       vector(512) NOT NULL,
    at_ms           bigint NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);

CREATE INDEX memories_customer ON memories (tenant_id, customer_id, at_ms DESC);

-- What is known of a customer: the newest value of each name.
CREATE TABLE facts (
    tenant_id   text NOT NULL,
    customer_id text NOT NULL,
    name        text NOT NULL,
    value       text NOT NULL,
    event_id    text NOT NULL,
    at_ms       bigint NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, name)
);
