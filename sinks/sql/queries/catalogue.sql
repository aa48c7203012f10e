-- name: search
WITH asked AS (
    -- Any of the words may match: customers write sentences, not queries.
    SELECT replace(
        plainto_tsquery('portuguese'::regconfig, whaticket_plain($2))::text, '&', '|'
    )::tsquery AS words
)
SELECT p.sku, p.name, p.description, p.price_cents, p.currency, p.stock
FROM products AS p
CROSS JOIN asked
WHERE p.tenant_id = $1
  AND (p.words @@ asked.words OR whaticket_plain(p.name) LIKE $3 OR lower(p.sku) LIKE $3)
ORDER BY ts_rank(p.words, asked.words) DESC, (p.stock > 0) DESC, p.name, p.sku
LIMIT $4;

-- name: order
-- An order without a customer came from a shop that did not know the conversation:
-- its number is what the shop told its buyer, and only its status is told.
SELECT order_number, status, eta, updated_at
FROM orders
WHERE tenant_id = $1
  AND order_number = $2
  AND (customer_id = $3 OR customer_id IS NULL);

-- name: request
INSERT INTO service_requests (tenant_id, call_id, conversation_id, customer_id, kind, summary)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, call_id) DO UPDATE SET call_id = excluded.call_id
RETURNING number;

-- name: put_products
INSERT INTO products (tenant_id, sku, name, description, price_cents, currency, stock)
SELECT $1, sku, name, description, price_cents, currency, stock
FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::int[])
    AS given (sku, name, description, price_cents, currency, stock)
ON CONFLICT (tenant_id, sku) DO UPDATE SET
    name = excluded.name,
    description = excluded.description,
    price_cents = excluded.price_cents,
    currency = excluded.currency,
    stock = excluded.stock,
    updated_at = now();

-- name: put_orders
INSERT INTO orders (tenant_id, order_number, customer_id, status, eta)
SELECT $1, order_number, customer_id, status, eta
FROM unnest($2::text[], $3::text[], $4::text[], $5::date[])
    AS given (order_number, customer_id, status, eta)
ON CONFLICT (tenant_id, order_number) DO UPDATE SET
    customer_id = excluded.customer_id,
    status = excluded.status,
    eta = excluded.eta,
    updated_at = now();
