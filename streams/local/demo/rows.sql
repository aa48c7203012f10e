-- name: rows
SELECT
    (SELECT count(*) FROM contacts
     WHERE tenant_id = $1 AND customer_id = ANY ($3::text[])) AS contacts,
    (SELECT count(*) FROM conversations
     WHERE tenant_id = $1 AND conversation_id = ANY ($2::text[])) AS conversations,
    (SELECT count(*) FROM messages
     WHERE tenant_id = $1 AND conversation_id = ANY ($2::text[]) AND NOT from_me) AS received,
    (SELECT count(*) FROM messages
     WHERE tenant_id = $1 AND conversation_id = ANY ($2::text[]) AND id = ANY ($4::text[])
     AND wamid IS NOT NULL) AS sent,
    (SELECT count(*) FROM outcomes
     WHERE tenant_id = $1 AND conversation_id = ANY ($2::text[])) AS outcomes,
    (SELECT count(*) FROM turns
     WHERE tenant_id = $1 AND conversation_id = ANY ($2::text[])) AS turns;
