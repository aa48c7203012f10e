-- What of an answer the customer has not got: it is not remembered as answered.
CREATE INDEX messages_unsent ON messages (tenant_id, conversation_id, turn_id)
    WHERE state IN ('dropped', 'failed', 'unknown');
