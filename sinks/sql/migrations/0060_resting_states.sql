-- Values of the stages' tables whose conversations are at rest. The changelog names the mark of the
-- row that counts; others are what is left of earlier rests until the next one.
CREATE TABLE resting_states (
    stage  text   NOT NULL,
    key    bytea  NOT NULL,
    mark   bigint NOT NULL,
    value  bytea  NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (stage, key, mark)
);
