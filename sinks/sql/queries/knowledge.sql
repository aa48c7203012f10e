-- name: search
SELECT passage_id, source, body, sha256, 1 - (embedding <=> $2::vector) AS score
FROM passages
WHERE tenant_id = $1
ORDER BY embedding <=> $2::vector, passage_id
LIMIT $3;

-- name: recall
-- What the customer has not got, or nobody knows whether they have, counts as not answered.
SELECT passage_id, body
FROM (
    SELECT 0 AS place, at_ms, event_id AS passage_id, name || ': ' || value AS body
    FROM facts
    WHERE tenant_id = $1 AND customer_id = $2
    UNION ALL
    (
        SELECT 1, m.at_ms, m.event_id, m.question || E'\n' || m.answer
        FROM memories m
        WHERE
            m.tenant_id = $1 AND m.customer_id = $2
            AND NOT EXISTS (
                SELECT FROM messages b
                WHERE
                    b.tenant_id = m.tenant_id AND b.conversation_id = m.conversation_id
                    AND b.turn_id = m.turn_id AND b.state IN ('dropped', 'failed', 'unknown')
            )
        ORDER BY m.at_ms DESC, m.event_id
        LIMIT $3
    )
) AS known
ORDER BY place, at_ms DESC, passage_id, body
LIMIT $3;

-- name: known
SELECT sha256 FROM passages WHERE tenant_id = $1 AND sha256 = ANY($2::text[]);

-- name: lacks
DELETE FROM passage_sources WHERE tenant_id = $1 AND source = $2 AND sha256 <> ALL($3::text[]);

-- name: has
INSERT INTO passage_sources (tenant_id, source, sha256)
SELECT $1, $2, r.sha256 FROM unnest($3::text[]) AS r (sha256)
ORDER BY r.sha256
ON CONFLICT DO NOTHING;

-- name: take
-- The newest document that has the words has them: a section that moved is not gone with its old one.
UPDATE passages SET source = $2
WHERE tenant_id = $1 AND sha256 = ANY($3::text[]) AND source <> $2;

-- name: hand_on
-- What the document no longer has is another's that still has it.
UPDATE passages p SET source = (
    SELECT min(s.source) FROM passage_sources s
    WHERE s.tenant_id = p.tenant_id AND s.sha256 = p.sha256
)
WHERE
    p.tenant_id = $1 AND p.source = $2 AND p.sha256 <> ALL($3::text[])
    AND EXISTS (
        SELECT FROM passage_sources s WHERE s.tenant_id = p.tenant_id AND s.sha256 = p.sha256
    );

-- name: remove_gone
DELETE FROM passages WHERE tenant_id = $1 AND source = $2 AND sha256 <> ALL($3::text[]);

-- name: add
INSERT INTO passages (tenant_id, passage_id, source, ordinal, body, sha256, embedding)
SELECT $1, r.passage_id, r.source, r.ordinal, r.body, r.sha256, r.embedding::vector
FROM jsonb_to_recordset($2) AS r (
    passage_id text, source text, ordinal integer, body text, sha256 text, embedding float4[]
)
ORDER BY r.sha256
ON CONFLICT DO NOTHING
RETURNING 1;

-- name: documents
SELECT source, count(*) AS passages FROM passages WHERE tenant_id = $1
GROUP BY source ORDER BY source;
