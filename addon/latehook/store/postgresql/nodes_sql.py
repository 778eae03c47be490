"""The functions in the database for the processes on one schema.

Whoever writes has the world lock shared until its commit. Whoever declares a process dead, or changes what all
processes share, has it alone. So nothing of a dead process is written any more, and nothing is written by an old state.
A function's next statement sees what was committed before it had the lock: each statement has a snapshot of its own.
"""

MAX_NODES = 64
"""Processes that one schema can have at once: their numbers are part of keys."""

JOBS_AT_ONCE = 5000
"""Jobs that one transaction takes: changes of the world wait for its end, and writes for these."""

FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION lock_world(alone boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF alone THEN
        PERFORM pg_advisory_xact_lock(444481550, hashtext(current_schema()));
    ELSE
        PERFORM pg_advisory_xact_lock_shared(444481550, hashtext(current_schema()));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION be_alive(me bigint, alone boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_world(alone);
    IF NOT EXISTS (SELECT FROM node n WHERE n.epoch = me) THEN
        RAISE EXCEPTION 'the other processes have declared this one dead' USING ERRCODE = 'LH001';
    END IF;
END $$;

-- Adds a process. The first time that it joins, it deletes those whose lease is over, unless the server was away.
CREATE OR REPLACE FUNCTION join_nodes(
    about text, lease double precision, starts boolean, OUT id integer, OUT epoch bigint
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_world(true);
    IF starts AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => lease) THEN
        DELETE FROM node n WHERE n.until < clock_timestamp();
    END IF;
    SELECT min(free) INTO id FROM generate_series(0, {MAX_NODES - 1}) free
    WHERE NOT EXISTS (SELECT FROM node n WHERE n.id = free);
    IF id IS NULL THEN
        RAISE EXCEPTION '{MAX_NODES} processes use this schema already: end one of them' USING ERRCODE = 'LH002';
    END IF;
    epoch := nextval('epoch');
    INSERT INTO node VALUES (id, epoch, clock_timestamp() + make_interval(secs => lease), 0, about);
END $$;

-- Renews the lease. Returns all processes, and nothing if this one was declared dead.
CREATE OR REPLACE FUNCTION beat(
    me bigint, has_applied bigint, lease double precision,
    OUT epoch bigint, OUT remaining double precision, OUT applied bigint
) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    UPDATE node n SET until = clock_timestamp() + make_interval(secs => lease), applied = has_applied
    WHERE n.epoch = me;
    IF FOUND THEN
        RETURN QUERY SELECT n.epoch, extract(epoch FROM n.until - clock_timestamp())::double precision, n.applied
            FROM node n;
    END IF;
END $$;

-- Deletes those of these processes whose lease is over.
CREATE OR REPLACE FUNCTION declare_dead(me bigint, dead bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM be_alive(me, true);
    DELETE FROM node n WHERE n.epoch = ANY (dead) AND n.until < clock_timestamp();
END $$;

CREATE OR REPLACE FUNCTION owns(me bigint, job_key bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM job j WHERE j.key = job_key AND j.owner = me)
$$;

-- Owns these jobs. Returns each of those that it did not own: (job, null, when it ends), and its pending webhooks.
CREATE OR REPLACE FUNCTION own(me bigint, jobs bigint[], OUT job bigint, OUT webhook bigint, OUT due double precision)
RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY WITH taken AS (
        UPDATE job j SET owner = me WHERE j.key = ANY (jobs) AND j.owner <> me RETURNING j.key, j.ends
    )
    SELECT t.key, w.key, w.due FROM taken t JOIN webhook w ON w.job = t.key AND w.state = 'pending'
    UNION ALL SELECT t.key, NULL, t.ends FROM taken t;
END $$;

-- Takes jobs from other processes, except those that these may take back.
CREATE OR REPLACE FUNCTION take(me bigint, jobs bigint[], OUT job bigint, OUT webhook bigint, OUT due double precision)
RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    PERFORM be_alive(me);
    RETURN QUERY SELECT * FROM own(me, ARRAY(SELECT j.key FROM job j WHERE j.key = ANY (jobs) AND NOT j.undecided));
END $$;

-- Takes the next jobs behind a key that are not done yet and that nobody alive owns, as `own` does.
CREATE OR REPLACE FUNCTION take_over(
    me bigint, behind bigint, OUT job bigint, OUT webhook bigint, OUT due double precision
) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    PERFORM be_alive(me);
    PERFORM pg_advisory_xact_lock(444481552, hashtext(current_schema()));  -- else two take the same, one from the other
    IF behind = 0 THEN
        UPDATE webhook w SET begun = NULL WHERE w.begun NOT IN (SELECT n.epoch FROM node n);
    END IF;
    RETURN QUERY SELECT * FROM own(me, ARRAY(
        SELECT j.key FROM job j
        WHERE j.key > behind AND j.owner NOT IN (SELECT n.epoch FROM node n) AND (j.ends = 'Infinity' OR EXISTS (
            SELECT FROM webhook w WHERE w.job = j.key AND w.state IN ('pending', 'held')
        ))
        ORDER BY j.key LIMIT {JOBS_AT_ONCE}
    ));
END $$;

-- Takes of the jobs with open stages, or with pending webhooks that are due by a moment, the next ones behind a key.
CREATE OR REPLACE FUNCTION take_due(
    me bigint, moment double precision, behind bigint, OUT job bigint, OUT webhook bigint, OUT due double precision
) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    PERFORM be_alive(me);
    RETURN QUERY SELECT * FROM own(me, ARRAY(
        SELECT j.key FROM job j
        WHERE j.key > behind AND j.owner <> me AND NOT j.undecided AND (j.ends = 'Infinity' OR EXISTS (
            SELECT FROM webhook w WHERE w.job = j.key AND w.state = 'pending' AND w.due <= moment
        ))
        ORDER BY j.key LIMIT {JOBS_AT_ONCE}
    ));
END $$;
"""
