-- name: claim
INSERT INTO claims (kind, effect_id, attempt) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING 1;

-- name: lock
SELECT pg_advisory_xact_lock(hashtextextended('takeover:' || $1, 0));

-- name: barred
SELECT true FROM claims WHERE kind = 'takeover' AND effect_id = $1 AND attempt > $2 LIMIT 1;

-- name: taken
SELECT 1 FROM claims WHERE kind = $1 AND effect_id = $2 AND attempt = $3;

-- name: settle
UPDATE claims SET result = $4 WHERE kind = $1 AND effect_id = $2 AND attempt = $3;

-- name: result
SELECT result FROM claims WHERE kind = $1 AND effect_id = $2 AND attempt = $3;
