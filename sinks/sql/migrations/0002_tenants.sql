-- Companies. `settings` is the SettingsChanged record without what other columns hold;
-- `published_version` is the newest version that is surely on the log.
CREATE TABLE tenants (
    tenant_id         text PRIMARY KEY,
    company           integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    settings          jsonb NOT NULL,
    version           integer NOT NULL DEFAULT 1,
    published_version integer NOT NULL DEFAULT 0,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tenant_history (
    tenant_id  text NOT NULL REFERENCES tenants,
    version    integer NOT NULL,
    settings   jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version)
);

-- Meta apps sign webhooks and may serve several tenants. Every bytea here is a Fernet token.
CREATE TABLE meta_apps (
    app_id          text PRIMARY KEY,
    verify_token    bytea NOT NULL,
    secret          bytea NOT NULL,
    previous_secret bytea,
    updated_at      timestamptz NOT NULL DEFAULT now()
);

-- Business numbers: one belongs to one tenant.
CREATE TABLE channels (
    phone_number_id text PRIMARY KEY,
    id              integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    tenant_id       text NOT NULL REFERENCES tenants,
    app_id          text NOT NULL REFERENCES meta_apps,
    token           bytea NOT NULL,
    token_version   integer NOT NULL DEFAULT 1,
    active          boolean NOT NULL DEFAULT true,
    updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX channels_tenant ON channels (tenant_id);
