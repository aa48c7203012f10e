-- name: keep
insert into raw_part (sha256, bytes, body)
select sha256, bytes, body
from unnest($1::text[], $2::int[], $3::bytea[]) as kept (sha256, bytes, body)
order by sha256
-- A part that comes again is named by another record, and lives as long as that one.
on conflict (sha256) do update set stored_at = excluded.stored_at
where raw_part.stored_at < excluded.stored_at - interval '1 day';

-- name: fetch
select body from raw_part where sha256 = $1;
