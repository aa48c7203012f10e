-- name: keep
INSERT INTO resting_states (stage, key, mark, value)
SELECT $1, key, mark, value FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS kept (key, mark, value)
ON CONFLICT DO NOTHING;

-- name: find
SELECT value FROM resting_states WHERE stage = $1 AND key = $2 AND mark = $3;

-- name: tidy
DELETE FROM resting_states AS old
USING unnest($2::bytea[], $3::bigint[]) AS kept (key, mark), resting_states AS newest
WHERE newest.stage = $1 AND newest.key = kept.key AND newest.mark = kept.mark
    AND old.stage = $1 AND old.key = kept.key AND old.number < newest.number;
