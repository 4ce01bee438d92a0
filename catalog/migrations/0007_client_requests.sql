-- The last change of metadata that each client request made: whoever repeats it, because the answer
-- was lost, is answered without making it again. `client` says who asked and under what id, `digest`
-- for what. Rows live for minutes.
CREATE TABLE client_requests (
    client TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL, decided BIGINT NOT NULL
);
CREATE INDEX client_requests_decided ON client_requests (decided);
