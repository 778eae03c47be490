"""The tables and functions in the database for what all processes share besides jobs."""

TABLES = """
CREATE TABLE world (revision bigint NOT NULL, resets bigint NOT NULL, holding boolean NOT NULL);
INSERT INTO world VALUES (0, 0, false);
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
"""
