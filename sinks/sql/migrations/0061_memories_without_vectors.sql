-- No query reads the vector of a memory. Workers of an older release may still write one.
ALTER TABLE memories ALTER COLUMN embedding DROP NOT NULL;
