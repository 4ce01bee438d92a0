-- Groups of nodes, and the collections that each serves, in the layout of the objects of 0001.
-- The owner is 0; `body` has what a group asks for, its nodes, and its collections.

CREATE TABLE resource_groups (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX resource_groups_name ON resource_groups (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX resource_groups_owner ON resource_groups (owner, valid_to);
