-- What is under way, and the numbers that only grow.

-- Changes that are decided and whose ddl records may still be missing from the log: they are
-- carried to their end after a crash, never undone. A finished intent is deleted.
CREATE TABLE intents (
    id BIGINT NOT NULL PRIMARY KEY, body TEXT NOT NULL, decided BIGINT NOT NULL
);

-- Which request made which collection, so that a retry finds its own work. `request` is 32
-- hexadecimal digits: neither back end has an integer of 128 bits.
CREATE TABLE requests (
    request TEXT NOT NULL PRIMARY KEY, collection BIGINT NOT NULL, decided BIGINT NOT NULL
);

-- Where the log of a channel may be cut: nothing up to `seq` is needed any more.
CREATE TABLE checkpoints (
    channel BIGINT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL, closed BIGINT NOT NULL
);

-- The next value of each counter. Blocks are taken ahead of use and never given back, so that
-- no id is ever used twice.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY, next_value BIGINT NOT NULL
);
INSERT INTO counters (name, next_value) VALUES ('object', 1), ('row', 1), ('placement', 0);

-- The one row of the cluster's time: every timestamp ever handed out is below `bound`. `epoch`
-- counts the owners of the catalog; only the last one may move the bound or change anything.
CREATE TABLE owner (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1), bound BIGINT NOT NULL, epoch BIGINT NOT NULL
);
INSERT INTO owner (id, bound, epoch) VALUES (1, 0, 0);

-- What is fixed when the catalog is made: the number of channels, the format of the rows.
CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL
);
