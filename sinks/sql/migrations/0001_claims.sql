-- Taken just before an effect outside the log: a second delivery finds the row.
CREATE TABLE claims (
    kind       text NOT NULL,
    effect_id  text NOT NULL,
    attempt    integer NOT NULL,
    result     text,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, effect_id, attempt)
);

CREATE INDEX claims_age ON claims USING brin (claimed_at);
