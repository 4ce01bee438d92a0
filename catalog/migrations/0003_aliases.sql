-- Other names of collections, in the layout of the objects of 0001. The owner is the database,
-- `body` names the collection; which aliases a collection has is in the collection's own row.

CREATE TABLE aliases (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX aliases_name ON aliases (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX aliases_owner ON aliases (owner, valid_to);
