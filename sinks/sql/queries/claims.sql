-- name: claim
INSERT INTO claims (kind, effect_id, attempt) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING 1;

-- name: lock
SELECT pg_advisory_xact_lock(hashtextextended('takeover:' || $1, 0));

-- name: barred
SELECT true FROM claims WHERE kind = 'takeover' AND effect_id = $1 AND attempt > $2 LIMIT 1;

-- name: unbar
DELETE FROM claims WHERE kind = 'takeover' AND effect_id = $1;

-- name: claim_ai
WITH takeover AS (
    SELECT true FROM claims WHERE kind = 'takeover' AND effect_id = $3 AND attempt > $4 LIMIT 1
), given AS (
    INSERT INTO claims (kind, effect_id, attempt)
    SELECT 'bubble', $1, $2 WHERE NOT EXISTS (SELECT FROM takeover)
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT CASE
    WHEN EXISTS (SELECT FROM given) THEN 'given'
    WHEN EXISTS (SELECT FROM takeover) AND NOT EXISTS (
        SELECT FROM claims WHERE kind = 'bubble' AND effect_id = $1 AND attempt = $2
    ) THEN 'barred'
    ELSE 'taken'
END;

-- name: taken
SELECT 1 FROM claims WHERE kind = $1 AND effect_id = $2 AND attempt = $3;

-- name: settle
UPDATE claims SET result = $4 WHERE kind = $1 AND effect_id = $2 AND attempt = $3;

-- name: result
SELECT result FROM claims WHERE kind = $1 AND effect_id = $2 AND attempt = $3;
