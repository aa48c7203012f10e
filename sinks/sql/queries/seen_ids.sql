-- name: keep
INSERT INTO seen_ids (conversation_id, day, id)
SELECT $1, day, id FROM unnest($2::integer[], $3::text[]) AS kept (day, id)
ON CONFLICT DO NOTHING;

-- name: knows
SELECT true FROM seen_ids WHERE conversation_id = $1 AND id = $2;

-- name: forget
DELETE FROM seen_ids
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM seen_ids WHERE day <= $1 LIMIT 1000 FOR UPDATE SKIP LOCKED
));
