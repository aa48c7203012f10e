-- name: lock
SELECT pg_advisory_xact_lock(number)
FROM (
    SELECT DISTINCT hashtextextended('number_leases:' || phone_number_id, 0) AS number
    FROM unnest($1::text[]) AS phone_number_id
    ORDER BY number
) AS numbers;

-- name: others
SELECT phone_number_id, worker_id, share, wanted
FROM number_leases
WHERE phone_number_id = ANY ($1::text[])
    AND worker_id <> $2
    AND expires_at > clock_timestamp() - make_interval(secs => $3);

-- name: write
WITH dead AS (
    DELETE FROM number_leases
    WHERE expires_at < clock_timestamp() - interval '1 minute' AND worker_id <> $1
)
INSERT INTO number_leases (worker_id, worker, phone_number_id, share, wanted, expires_at)
SELECT $1, $2, number, share, wanted, clock_timestamp() + make_interval(secs => $6)
FROM unnest($3::text[], $4::integer[], $5::integer[]) AS told (number, share, wanted)
ON CONFLICT (phone_number_id, worker_id) DO UPDATE
SET share = excluded.share, wanted = excluded.wanted, expires_at = excluded.expires_at;

-- name: leave
UPDATE number_leases SET expires_at = least(expires_at, clock_timestamp()) WHERE worker_id = $1;

-- name: all
SELECT
    phone_number_id,
    worker,
    share,
    wanted,
    extract(epoch FROM expires_at - clock_timestamp())::float8 AS left_s
FROM number_leases
WHERE expires_at > clock_timestamp() - make_interval(secs => $1)
ORDER BY phone_number_id, worker;
