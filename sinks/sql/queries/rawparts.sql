-- name: keep
insert into raw_part (sha256, bytes, body)
select sha256, bytes, body
from unnest($1::text[], $2::int[], $3::bytea[]) as kept (sha256, bytes, body)
order by sha256
on conflict do nothing;

-- name: fetch
select body from raw_part where sha256 = $1;
