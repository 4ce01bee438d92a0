-- What a shard saw of changes of its collection: `expiry` is a JSON list of [time, milliseconds to
-- live or null], `truncated` the intent of the last truncation, 0 for none.
ALTER TABLE shards ADD COLUMN expiry TEXT NOT NULL DEFAULT '[]';
ALTER TABLE shards ADD COLUMN truncated BIGINT NOT NULL DEFAULT 0;
