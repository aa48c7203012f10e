-- name: keep
WITH given AS (
    SELECT key, mark, value FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS given (key, mark, value)
), added AS (
    INSERT INTO resting_states (stage, key, mark, value)
    SELECT $1, key, mark, value FROM given
    ON CONFLICT DO NOTHING
    RETURNING key, number
)
SELECT key, number FROM added
UNION ALL
SELECT kept.key, kept.number FROM resting_states AS kept JOIN given USING (key, mark) WHERE kept.stage = $1;

-- name: find
SELECT value FROM resting_states WHERE stage = $1 AND key = $2 AND mark = $3;

-- name: tidy
DELETE FROM resting_states AS old
USING unnest($2::bytea[], $3::bigint[]) AS kept (key, number), resting_states AS newest
WHERE newest.stage = $1 AND newest.key = kept.key AND newest.number = kept.number
    AND old.stage = $1 AND old.key = kept.key AND old.number < kept.number;
