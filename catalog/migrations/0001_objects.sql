-- What exists, and what it was before: the same text serves SQLite and Postgres.
--
-- The five tables of objects have one layout. A row is one version of one thing, valid in
-- [valid_from, valid_to) of the TSO's time; the valid one has valid_to = 9223372036854775807.
-- A change ends a version and adds another, so that any past moment can be described. `body` is
-- JSON, because it is read as a whole and grows with the product; what SQL searches by is a
-- column. `state`: 0 creating, 1 current, 2 dropping. The unique indexes are the last line of
-- defence of "one name, one thing"; a thing that is being dropped has given its name up.

CREATE TABLE databases (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX databases_name ON databases (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX databases_owner ON databases (owner, valid_to);

CREATE TABLE collections (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX collections_name ON collections (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX collections_owner ON collections (owner, valid_to);

CREATE TABLE schemas (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX schemas_name ON schemas (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX schemas_owner ON schemas (owner, valid_to);

CREATE TABLE partitions (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX partitions_name ON partitions (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX partitions_owner ON partitions (owner, valid_to);

CREATE TABLE indexes (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX indexes_name ON indexes (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX indexes_owner ON indexes (owner, valid_to);
