-- Old claims and raw parts are deleted (sinks/pruning.py), oldest first. A BRIN index finds them
-- only until newer rows use the room of those that went.
CREATE INDEX claims_oldest ON claims (claimed_at);
DROP INDEX claims_age;
CREATE INDEX raw_part_oldest ON raw_part (stored_at);
