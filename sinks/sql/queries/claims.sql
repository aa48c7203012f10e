-- name: claim
INSERT INTO claims (kind, effect_id, attempt) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING 1;

-- name: taken
SELECT 1 FROM claims WHERE kind = $1 AND effect_id = $2 AND attempt = $3;

-- name: settle
UPDATE claims SET result = $4 WHERE kind = $1 AND effect_id = $2 AND attempt = $3;

-- name: result
SELECT result FROM claims WHERE kind = $1 AND effect_id = $2 AND attempt = $3;
