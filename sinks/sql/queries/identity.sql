-- name: known
select seq, tenant_id, phone_number_id, identifier, conversation_id, customer_id, person
from identity
join unnest($1::text[], $2::text[]) as asked (tenant_id, identifier) using (tenant_id, identifier)
order by seq;

-- name: lock
select pg_advisory_xact_lock($1::int, bucket) from unnest($2::int[]) as bucket;

-- name: learn
insert into identity (
    tenant_id, phone_number_id, identifier, conversation_id, customer_id, person
)
select tenant_id, phone_number_id, identifier, conversation_id, customer_id, person
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    with ordinality as learned (
        tenant_id, phone_number_id, identifier, conversation_id, customer_id, person, place
    )
order by place
returning seq, tenant_id, phone_number_id, identifier, conversation_id, customer_id, person;

-- name: link
insert into identity (
    tenant_id, phone_number_id, identifier, conversation_id, customer_id, person
)
select tenant_id, phone_number_id, $4::text, conversation_id, customer_id, person
from identity
where tenant_id = $1 and phone_number_id = $2 and conversation_id = $3
order by seq
limit 1
on conflict do nothing;
