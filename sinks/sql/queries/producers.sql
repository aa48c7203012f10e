-- name: get
select tenant_id, secrets from producer where producer = $1;

-- name: add
insert into producer (producer, tenant_id, secrets) values ($1, $2, $3)
on conflict do nothing
returning producer;

-- name: locked
select secrets from producer where producer = $1 for update;

-- name: rotate
update producer set secrets = $2, rotated_at = now() where producer = $1;

-- name: list
select producer, tenant_id, created_at, rotated_at from producer order by producer;
