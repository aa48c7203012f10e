-- Which conversation a name of a customer leads to. Rows are added and never changed, so a
-- webhook that is delivered again days later meets the same conversation.
create table identity (
    seq bigint generated always as identity,
    tenant_id text not null,
    phone_number_id text not null,
    identifier text not null,
    conversation_id text not null,
    customer_id text not null,
    person text not null,
    learned_at timestamptz not null default now(),
    primary key (tenant_id, phone_number_id, identifier)
);

-- A person is looked up under every business number of the tenant.
create index identity_of_tenant on identity (tenant_id, identifier);
create index identity_of_conversation on identity (conversation_id);

create function identity_never_changes() returns trigger language plpgsql as $$
begin
    raise exception 'rows of identity are never changed';
end
$$;

create trigger identity_never_changes before update on identity
    for each row execute function identity_never_changes();

-- Parts of webhook bodies that are too large for a record of the log.
create table raw_part (
    sha256 text primary key,
    bytes integer not null,
    body bytea not null,
    stored_at timestamptz not null default now()
);

-- Other systems that push events, and the secrets they sign with (encrypted, newest first).
create table producer (
    producer text primary key,
    tenant_id text not null,
    secrets bytea not null,
    created_at timestamptz not null default now(),
    rotated_at timestamptz not null default now()
);
