-- name: report
WITH forgotten AS (
    DELETE FROM processes
    WHERE heartbeat_at < clock_timestamp() - make_interval(secs => $4) AND process_id <> $1
)
INSERT INTO processes (process_id, process, settings_offset) VALUES ($1, $2, $3)
ON CONFLICT (process_id) DO UPDATE
SET settings_offset = excluded.settings_offset, heartbeat_at = clock_timestamp();

-- name: leave
DELETE FROM processes WHERE process_id = $1;

-- name: all
SELECT
    process,
    settings_offset,
    started_at,
    greatest(extract(epoch FROM clock_timestamp() - heartbeat_at), 0)::float8 AS silent_s
FROM processes
ORDER BY process, started_at;
