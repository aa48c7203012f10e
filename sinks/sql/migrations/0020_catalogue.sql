-- What the tools look up and write: products, orders, service requests. Every row is a tenant's.

-- Accents are optional in what customers type; unaccent is an extension that not every
-- Postgres has, and is not immutable, so an index could not use it.
CREATE FUNCTION whaticket_plain(words text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURNS NULL ON NULL INPUT
    RETURN translate(lower(words), 'áàâãäéèêëíìîïóòôõöúùûüçñ', 'aaaaaeeeeiiiiooooouuuucn');

CREATE TABLE products (
    tenant_id   text NOT NULL,
    sku         text NOT NULL,
    name        text NOT NULL,
    description text NOT NULL DEFAULT '',
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    currency    text NOT NULL DEFAULT 'BRL' CHECK (currency ~ '^[A-Z]{3}$'),
    stock       integer NOT NULL DEFAULT 0 CHECK (stock >= 0),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    words       tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('portuguese'::regconfig, whaticket_plain(name)), 'A')
        || setweight(to_tsvector('portuguese'::regconfig, whaticket_plain(description)), 'B')
    ) STORED,
    PRIMARY KEY (tenant_id, sku)
);
CREATE INDEX products_words ON products USING gin (words);

CREATE TABLE orders (
    tenant_id    text NOT NULL,
    order_number text NOT NULL,
    customer_id  text,
    status       text NOT NULL,
    eta          date,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, order_number)
);
CREATE INDEX orders_customer ON orders (tenant_id, customer_id) WHERE customer_id IS NOT NULL;

CREATE TABLE service_requests (
    number          bigint GENERATED ALWAYS AS IDENTITY (START WITH 1001) PRIMARY KEY,
    tenant_id       text NOT NULL,
    call_id         text NOT NULL,
    conversation_id text NOT NULL,
    customer_id     text NOT NULL,
    kind            text NOT NULL,
    summary         text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, call_id)
);
CREATE INDEX service_requests_customer ON service_requests (tenant_id, customer_id);
