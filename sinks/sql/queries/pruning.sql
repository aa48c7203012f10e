-- name: claims
WITH gone AS (
    DELETE FROM claims
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM claims
        WHERE claimed_at < now() - make_interval(days => $1)
        ORDER BY claimed_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: raw_parts
WITH gone AS (
    DELETE FROM raw_part
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM raw_part
        WHERE stored_at < now() - make_interval(days => $1)
        ORDER BY stored_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM gone;
