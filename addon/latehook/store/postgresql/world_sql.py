"""The tables and functions in the database for what all processes share besides jobs."""

# world.requests and world.unmatched_requests count those that are in `received` no more.
TABLES = """
CREATE TABLE world (
    revision bigint NOT NULL, resets bigint NOT NULL, holding boolean NOT NULL,
    requests bigint NOT NULL DEFAULT 0, unmatched_requests bigint NOT NULL DEFAULT 0
);
INSERT INTO world VALUES (0, 0, false);
CREATE TABLE counter (name text PRIMARY KEY, number bigint NOT NULL);
CREATE TABLE received (
    other boolean NOT NULL, number bigint NOT NULL, unmatched boolean NOT NULL, value bytea NOT NULL,
    PRIMARY KEY (other, number)
);
"""

# Whoever calls it has the world lock alone until its commit: nothing is written meanwhile by the old world. Later
# writes see the new one: `write` takes the lock before it reads.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION change_world(
    changes change[], me bigint, expected bigint, clears boolean, holding boolean, OUT changed bigint
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM be_alive(me, true);
    UPDATE world w SET revision = w.revision + 1, resets = w.resets + clears::integer, holding = change_world.holding
    WHERE w.revision = expected RETURNING w.revision INTO changed;
    IF FOUND THEN
        PERFORM write(changes, me);
    END IF;
END $$;

-- Writes entries of the journal, and drops the oldest. One process at a time: else they could wait for each other.
CREATE OR REPLACE FUNCTION write_received(entries received[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(444481551, hashtext(current_schema()));
    INSERT INTO received SELECT * FROM unnest(entries) ON CONFLICT (other, number) DO UPDATE SET
        unmatched = excluded.unmatched, value = excluded.value;
    DELETE FROM received r WHERE r.other AND r.number <= (
        SELECT number FROM received WHERE other ORDER BY number DESC OFFSET 1000 LIMIT 1
    );
    WITH dropped AS (
        DELETE FROM received r WHERE NOT r.other AND r.number <= (
            SELECT number FROM received WHERE NOT other ORDER BY number DESC OFFSET 1000 LIMIT 1
        ) RETURNING r.unmatched
    )
    UPDATE world SET requests = requests + (SELECT count(*) FROM dropped),
        unmatched_requests = unmatched_requests + (SELECT count(*) FROM dropped d WHERE d.unmatched)
    WHERE EXISTS (SELECT FROM dropped);
END $$;
"""
