-- Who may do what. The tables have the layout of those of 0001, and versions as well, but no
-- version of a user that has ended keeps its body: the hash of an old password is nowhere.

CREATE TABLE users (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX users_name ON users (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX users_owner ON users (owner, valid_to);

CREATE TABLE roles (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX roles_name ON roles (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX roles_owner ON roles (owner, valid_to);

-- The owner is the role; the name is what makes a grant one: database, type, object, privilege.
CREATE TABLE grants (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX grants_name ON grants (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX grants_owner ON grants (owner, valid_to);

CREATE TABLE privilege_groups (
    id BIGINT NOT NULL, owner BIGINT NOT NULL, name TEXT NOT NULL, state BIGINT NOT NULL,
    body TEXT NOT NULL, valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX privilege_groups_name ON privilege_groups (owner, name)
    WHERE valid_to = 9223372036854775807 AND state <> 2;
CREATE INDEX privilege_groups_owner ON privilege_groups (owner, valid_to);

-- Counts the changes of the four.
INSERT INTO counters (name, next_value) VALUES ('access', 1);
