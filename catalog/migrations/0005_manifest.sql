-- The segment manifest: which files hold the rows of the shards, up to where in the log.
--
-- One state per row here, not a history: the log's positions order the commits, and what is not
-- named any more is garbage. What SQL searches by, and every position and time, is a column;
-- lists are JSON, because they are read as a whole.

-- How far a shard is in files: everything up to (applied_seq, applied_index) of its channel.
-- `slots` and `deltas` are lists of JSON objects.
CREATE TABLE shards (
    collection BIGINT NOT NULL, shard BIGINT NOT NULL, channel BIGINT NOT NULL,
    applied_seq BIGINT NOT NULL, applied_index BIGINT NOT NULL, closed BIGINT NOT NULL,
    since BIGINT NOT NULL, slots TEXT NOT NULL, deltas TEXT NOT NULL,
    PRIMARY KEY (collection, shard)
);

-- The segments of the shards. `files` is a JSON list of [kind, file].
CREATE TABLE segments (
    id BIGINT NOT NULL PRIMARY KEY, collection BIGINT NOT NULL, shard BIGINT NOT NULL,
    partition_id BIGINT NOT NULL, slot BIGINT NOT NULL, first_row BIGINT NOT NULL,
    row_count BIGINT NOT NULL, min_ts BIGINT NOT NULL, max_ts BIGINT NOT NULL,
    files TEXT NOT NULL
);
CREATE INDEX segments_collection ON segments (collection);

-- Files that no shard and no segment names any more and that are still to be deleted. A file is
-- noted in the transaction that drops its name, so a crash in between leaves none behind.
CREATE TABLE garbage (
    name TEXT NOT NULL PRIMARY KEY, bytes BIGINT NOT NULL, crc32c BIGINT NOT NULL
);
