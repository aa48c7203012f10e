-- Hashes of message ids that hot conversations have no room for in their state; 8 days are kept.
CREATE TABLE seen_ids (
    conversation_id text NOT NULL,
    id              text NOT NULL,
    day             integer NOT NULL,
    PRIMARY KEY (conversation_id, id)
);

CREATE INDEX seen_ids_day ON seen_ids (day);
