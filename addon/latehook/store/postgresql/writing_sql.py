"""The functions in the database that write."""

# The function makes all changes of one batch of the process `me`, in their order. It returns the webhooks that it has
# changed, those whose attempt must not begin, the jobs that it has not added, as another one has the
# same idempotency key, and the last job that a prune has examined. A job is `lost` that another process owns now: what
# was decided about it here does not count.
#
# An attempt counts for the process that has begun it, and once: it may be written again while the next one runs.
# One that was made during a pause, after which another process owns the job, counts if it has delivered the webhook and
# nobody has begun again.
#
# `clear` leaves the definitions to `prune`: until a process knows of a reset, it writes jobs that refer to them.
WRITE = """
CREATE OR REPLACE FUNCTION write(
    changes change[], me bigint,
    OUT changed bigint[], OUT refused bigint[], OUT repeated bigint[], OUT pruned_to bigint
) LANGUAGE plpgsql AS $$
DECLARE
    c change;
    new_job job;
    lost bigint[] := '{}';
    is_held boolean;
BEGIN
    PERFORM be_alive(me);
    changed := '{}';
    refused := '{}';
    repeated := '{}';
    FOREACH c IN ARRAY changes LOOP
        CASE c.what
        WHEN 'job' THEN
            new_job := c.job;
            new_job.owner := me;
            INSERT INTO job SELECT new_job.* ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
            IF NOT FOUND THEN
                repeated := repeated || c.key;
            END IF;
        WHEN 'webhook' THEN
            IF (c.webhook).job != ALL (repeated || lost) THEN
                INSERT INTO webhook SELECT (c.webhook).*;
                changed := changed || c.key;
            END IF;
        WHEN 'begin' THEN
            is_held := coalesce(is_held, (SELECT world.holding FROM world));
            UPDATE webhook w SET content = c.value, begun = me
            WHERE w.key = c.key AND w.state = 'pending' AND w.attempts = c.number - 1
                AND (w.begun IS NULL OR w.begun = me) AND (c.ordered OR NOT is_held)
                AND EXISTS (SELECT FROM job j WHERE j.key = w.job AND j.owner = me);
            IF FOUND THEN
                changed := changed || c.key;  -- other processes show it as delivering
            ELSE
                refused := refused || c.key;
            END IF;
        WHEN 'attempt' THEN
            UPDATE webhook w SET due = c.moment, attempts = c.number, content = c.value, begun = NULL,
                reason = CASE WHEN w.state = 'pending' OR c.state = 'delivered' THEN c.reason ELSE w.reason END,
                state = CASE WHEN w.state = 'pending' OR c.state = 'delivered' THEN c.state ELSE w.state END
            WHERE w.key = c.key AND w.attempts < c.number AND (w.begun = me OR (
                w.begun IS NULL AND (c.state = 'delivered' OR owns(me, w.job))
            ));
            IF FOUND THEN
                INSERT INTO attempt SELECT (c.attempt).* ON CONFLICT (webhook, number) DO NOTHING;
                changed := changed || c.key;
            END IF;
        WHEN 'state' THEN
            UPDATE webhook w SET state = c.state, reason = c.reason
            WHERE w.key = c.key AND w.state NOT IN ('delivered', 'failed', 'canceled', 'skipped');
            changed := changed || c.key;
        WHEN 'pending' THEN
            UPDATE webhook w SET state = 'pending', reason = NULL, due = c.moment, ordered = w.ordered AND c.ordered
            WHERE w.key = c.key
                AND (c.number = 1 OR w.state NOT IN ('delivered', 'failed', 'canceled', 'skipped'));
            changed := changed || c.key;
        WHEN 'due' THEN
            UPDATE webhook w SET due = c.moment WHERE w.key = c.key AND owns(me, w.job);
            changed := changed || c.key;
        WHEN 'decided' THEN
            UPDATE webhook w SET value = c.value, url = c.name, state = c.state, reason = c.reason
            WHERE w.key = c.key AND owns(me, w.job);
            IF FOUND THEN
                changed := changed || c.key;
            ELSE
                lost := lost || ARRAY(SELECT w.job FROM webhook w WHERE w.key = c.key);
            END IF;
        WHEN 'job value' THEN
            UPDATE job j SET value = c.value, ends = c.moment, owner = me, undecided = c.ordered
            WHERE j.key = c.key AND (j.owner = me OR NOT EXISTS (SELECT FROM node n WHERE n.epoch = j.owner));
            IF NOT FOUND THEN
                lost := lost || c.key;
            END IF;
        WHEN 'replaced stages' THEN
            UPDATE webhook w SET state = 'canceled', reason = c.reason
            WHERE w.job = c.key AND w.job != ALL (lost) AND w.stage >= c.number AND w.state IN ('pending', 'held');
            changed := changed || ARRAY(SELECT w.key FROM webhook w WHERE w.job = c.key);
        WHEN 'forward' THEN
            UPDATE webhook w SET due = w.due - c.moment WHERE w.job = c.key;
        WHEN 'deleted job' THEN
            DELETE FROM attempt a USING webhook w WHERE a.webhook = w.key AND w.job = c.key;
            DELETE FROM webhook w WHERE w.job = c.key;
            DELETE FROM job j WHERE j.key = c.key;
        WHEN 'definition' THEN
            INSERT INTO definition VALUES (c.name, c.value) ON CONFLICT (hash) DO NOTHING;
        WHEN 'last job' THEN
            UPDATE definition d SET last_job = greatest(d.last_job, c.key) WHERE d.hash = c.name;
        WHEN 'value' THEN
            INSERT INTO meta VALUES (c.name, c.value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
        WHEN 'clear' THEN
            DELETE FROM meta;
            DELETE FROM counter;
            DELETE FROM received;
            UPDATE world SET requests = 0, unmatched_requests = 0;
            DELETE FROM attempt;
            DELETE FROM webhook;
            DELETE FROM job;
        WHEN 'prune' THEN
            pruned_to := prune(c.key, c.number, c.moment, c.clock);
        END CASE;
    END LOOP;
END $$;
"""

# Like SqliteStore.prune. It returns the key of the job behind which the next call goes on, 0 for the first one.
PRUNE = """
CREATE OR REPLACE FUNCTION prune(pruned_to bigint, keep integer, before double precision, clock double precision)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest_old bigint := coalesce((SELECT key FROM job ORDER BY key DESC OFFSET keep LIMIT 1), 0);
    last bigint;
    examined integer;
    is_old boolean;
    ended bigint[];
BEGIN
    SELECT max(key), count(*), bool_and(old), array_agg(key) FILTER (WHERE old AND done)
    INTO last, examined, is_old, ended
    FROM (
        SELECT key, key <= newest_old OR created_at < before AS old, ends <= prune.clock AND NOT EXISTS (
            SELECT 1 FROM webhook w WHERE w.job = job.key AND w.state IN ('pending', 'held')
        ) AS done
        FROM job WHERE key > prune.pruned_to ORDER BY key LIMIT 5000
    ) AS examined_jobs;
    IF ended IS NOT NULL THEN
        DELETE FROM attempt a USING webhook w WHERE a.webhook = w.key AND w.job = ANY (ended);
        DELETE FROM webhook w WHERE w.job = ANY (ended);
        DELETE FROM job j WHERE j.key = ANY (ended);
        DELETE FROM definition d WHERE (SELECT count(*) FROM node) = 1  -- others may know that it is there
            AND d.last_job < coalesce((SELECT min(key) FROM job), 'Infinity'::float8)
            AND NOT EXISTS (SELECT 1 FROM webhook w WHERE w.definition = d.hash);
    END IF;
    RETURN CASE WHEN examined = 5000 AND is_old THEN last ELSE 0 END;
END $$;
"""
