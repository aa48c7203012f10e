-- Which documents have the words of a passage: it goes with the last of them. `passages.source` is
-- the newest of them, which is shown.
CREATE TABLE passage_sources (
    tenant_id text NOT NULL,
    source    text NOT NULL,
    sha256    text NOT NULL,
    PRIMARY KEY (tenant_id, source, sha256)
);

CREATE INDEX passage_sources_words ON passage_sources (tenant_id, sha256);

INSERT INTO passage_sources (tenant_id, source, sha256)
SELECT tenant_id, source, sha256 FROM passages;
