"""What every store does: see `latehook.store.protocol`."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from latehook.base.errors import UnstorableError
from latehook.base.json_text import decode_json, encode_json
from latehook.base.messages import Answer, Outcome, Redirect, Response
from latehook.base.model import UNKNOWN, Attempt, Content, Criteria, Job, OpenStage, Stage, State, Webhook
from latehook.base.redaction import Redaction
from latehook.store import Due, Store
from support.stored import CONTENT, OK, REFUSED, add, add_ended, job, webhook

LARGE = 3_000_000


async def count(store: Store) -> tuple[int, int, int]:
    """Return how many jobs, webhooks and attempts there are."""
    webhooks = await store.webhooks()
    return await store.count_jobs(), len(webhooks), len(await store.attempts(stored.key for stored in webhooks))


# Jobs and webhooks


async def test_a_webhook_is_read_as_it_was_written_with_its_job(store: Store) -> None:
    added = store.add_job(job("j", webhook("w")))
    await store.commit()

    owed = await store.pending_webhook(added.webhooks[0])

    assert owed is not None
    assert (owed.key, owed.attempts, owed.content) == (added.webhooks[0], 0, None)
    assert owed.webhook == webhook("w")
    assert owed.job == replace(job("j"), key=added.job)


async def test_reads_see_what_is_not_committed_yet(store: Store) -> None:
    added = store.add_job(job("j", webhook("w")))

    assert await store.find_job("j") == await store.job(added.job) == replace(job("j"), key=added.job)
    assert await store.webhook_key("w") == added.webhooks[0]
    store.set_due(added.webhooks[0], 7.0)
    assert (await store.commit()).changed == set(added.webhooks)


@pytest.mark.parametrize("body", [None, b"", bytes(range(256))])
async def test_a_missing_body_and_an_empty_body_differ(store: Store, body: bytes | None) -> None:
    [key] = add(store, job("j", webhook(), body=body))
    await store.commit()

    owed = await store.pending_webhook(key)

    assert owed is not None
    assert owed.job.request.body == body


async def test_keys_grow_and_ids_need_not_be_unique(store: Store) -> None:
    first = store.add_job(job("j", webhook("a"), webhook("b"), webhook("c")))
    second = store.add_job(job("j", webhook("d")))
    await store.commit()

    assert [*first.webhooks, *second.webhooks] == sorted({*first.webhooks, *second.webhooks})
    assert first.job < second.job == await store.last_job_key()
    found = await store.find_job("j")
    assert found is not None and found.key == second.job


async def test_a_job_is_found_by_the_idempotency_key_of_its_mock(store: Store) -> None:
    added = store.add_job(replace(job("j"), idempotency_key="k"))
    await store.commit()

    found = await store.job_for_idempotency_key("a mock", "k")
    assert found is not None and found.key == added.job
    assert await store.job_for_idempotency_key("another mock", "k") is None


async def test_jobs_are_listed_newest_first(store: Store) -> None:
    keys = [store.add_job(job(id)).job for id in "abc"]
    await store.commit()

    assert [found.id for found in await store.jobs()] == list(await store.job_ids()) == ["c", "b", "a"]
    store.delete_jobs(keys[1:2])
    await store.commit()
    assert [found.id for found in await store.jobs_by_key(keys)] == ["c", "a"]


async def test_a_changed_job_is_read_as_it_is_now(store: Store) -> None:
    added = store.add_job(job("j"))
    await store.commit()
    changed = replace(job("j"), key=added.job, ahead=2.5, response=Response(201), stages=(Stage(5.0, "done"),))

    store.update_job(changed)
    await store.commit()

    assert await store.job(added.job) == changed


async def test_new_stages_cancel_the_unfinished_webhooks_of_those_they_replace(store: Store) -> None:
    kept, replaced = webhook("kept"), replace(webhook("replaced"), stage=1)
    added = store.add_job(job("j", kept, replaced))
    await store.commit()

    [new] = store.replace_stages(replace(job("j", replace(webhook("new"), stage=1)), key=added.job), 1)
    await store.commit()

    states = {stored.webhook.id: (stored.key, stored.webhook.state) for stored in await store.webhooks(added.job)}
    assert states == {
        "kept": (added.webhooks[0], State.PENDING),
        "replaced": (added.webhooks[1], State.CANCELED),
        "new": (new, State.PENDING),
    }


async def test_deleting_a_job_deletes_its_webhooks_and_attempts(store: Store) -> None:
    add_ended(store, "j")
    added = store.add_job(job("k", webhook()))
    await store.commit()
    found = await store.find_job("j")
    assert found is not None

    store.delete_jobs([found.key])
    await store.commit()

    assert await count(store) == (1, 1, 0)
    assert [stored.key for stored in await store.webhooks()] == list(added.webhooks)


# Attempts


async def test_a_failed_attempt_leaves_the_webhook_pending_with_its_content(store: Store) -> None:
    [key] = add(store, job("j", webhook()))

    store.add_attempt(key, 1, REFUSED, State.PENDING, 1_800_000_006.0, CONTENT, 1.25)
    await store.commit()

    owed = await store.pending_webhook(key)
    assert owed is not None
    assert (owed.attempts, owed.content, owed.webhook.due) == (1, CONTENT, 1_800_000_006.0)
    due = Due(1_800_000_006.0, "http://app.test/hook", (), owed.job.key, 0, False, "a definition", 0, 1)
    assert await store.dues([key]) == [due]
    assert list(await store.attempts([key])) == [(key, Attempt(1, 1.0, 1.5, None, "Connection refused", b"", 1.25))]


@pytest.mark.parametrize(("outcome", "state"), [(OK, State.DELIVERED), (REFUSED, State.FAILED)])
async def test_a_finished_webhook_is_not_pending(store: Store, outcome: Outcome, state: State) -> None:
    [key] = add(store, job("j", webhook()))

    store.add_attempt(key, 1, outcome, state, 0.0, CONTENT, 1.25)
    await store.commit()

    assert (await store.pending_webhook(key), await store.dues([key]), await store.count_unfinished()) == (
        None,
        [None],
        0,
    )
    stored = await store.webhook(key)
    assert stored is not None
    assert (stored.webhook.state, stored.webhook.reason) == (state, outcome.error)


async def test_an_attempt_that_is_written_twice_is_there_once(store: Store) -> None:
    [key] = add(store, job("j", webhook()))
    for _ in range(2):
        store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
        await store.commit()

    assert await count(store) == (1, 1, 1)


async def test_an_attempt_that_is_written_again_does_not_end_the_next_one(store: Store) -> None:
    [key] = add(store, job("j", webhook()))
    store.begin(key, 1, CONTENT)
    for _ in range(2):
        store.add_attempt(key, 1, REFUSED, State.PENDING, 7.0, CONTENT, 1.25)
        store.begin(key, 2, CONTENT)
        assert not (await store.commit()).refused

    store.add_attempt(key, 1, REFUSED, State.PENDING, 7.0, CONTENT, 1.25)
    await store.commit()
    stored = await store.webhook(key)
    assert stored is not None
    assert (stored.attempts, stored.begun) == (1, store.cluster is not None)


@pytest.mark.parametrize("state", [State.HELD, State.CANCELED])
@pytest.mark.parametrize("end", [State.PENDING, State.FAILED, State.DELIVERED])
async def test_what_was_stopped_during_its_attempt_stays_so_unless_it_is_delivered(
    store: Store, state: State, end: State
) -> None:
    [key] = add(store, job("j", webhook()))
    store.set_state(key, state, "stopped")
    store.add_attempt(key, 1, OK if end is State.DELIVERED else REFUSED, end, 7.0, CONTENT, 1.25)
    await store.commit()

    stored = await store.webhook(key)
    assert stored is not None
    expected = (end, None) if end is State.DELIVERED else (state, "stopped")
    assert (stored.webhook.state, stored.webhook.reason, stored.attempts) == (*expected, 1)


async def test_an_attempt_begins_once_and_only_at_a_pending_webhook(store: Store) -> None:
    pending, retried, canceled = add(store, job("j", webhook("a"), webhook("b"), webhook("c")))
    store.add_attempt(retried, 1, REFUSED, State.PENDING, 7.0, CONTENT, 1.25)
    store.set_state(canceled, State.CANCELED)
    await store.commit()

    for key in (pending, retried, canceled):
        store.begin(key, 1, CONTENT)
    assert (await store.commit()).refused == {retried, canceled}
    store.begin(retried, 2, CONTENT)
    assert not (await store.commit()).refused
    stored = await store.webhook(pending)
    assert stored is not None and (stored.content, stored.attempts) == (CONTENT, 0)


async def test_the_webhooks_that_must_come_first_are_those_of_earlier_stages_without_an_attempt(store: Store) -> None:
    stages = [replace(webhook(str(at)), stage=at) for at in range(4)]
    first, second, third, last = add(store, job("j", stages[0], replace(stages[1], ordered=False), *stages[2:]))
    await store.commit()

    dues = await store.dues([last, first])
    assert [due and list(due.after) for due in dues] == [[third, first], []]
    store.add_attempt(first, 1, REFUSED, State.PENDING, 9.0, CONTENT, 1.25)
    store.set_state(third, State.HELD)
    await store.commit()
    assert [due and list(due.after) for due in await store.dues([last, third, second])][:2] == [[], None]


async def test_a_webhook_that_is_made_pending_waits_for_no_other_if_it_is_not_ordered(store: Store) -> None:
    _, last = add(store, job("j", webhook("a"), replace(webhook("b"), stage=1)))
    store.set_state(last, State.FAILED, "it failed")
    store.set_pending(last, 9.0, ordered=False, again=True)
    await store.commit()

    stored = await store.webhook(last)
    assert stored is not None
    due = Due(9.0, "http://app.test/hook", (), stored.job.key, 1, False, "a definition", 0, 0)
    assert await store.dues([last]) == [due]
    assert (stored.webhook.state, stored.webhook.reason) == (State.PENDING, None)


async def test_what_is_open_is_found_and_decided(store: Store) -> None:
    waits = Stage(UNKNOWN, "done", OpenStage(UNKNOWN, 1.0, "first"))
    late = replace(webhook("late"), due=UNKNOWN, to=None, late=True)
    add(store, replace(job("ended", replace(webhook("a"), state=State.SKIPPED)), stages=(Stage(1.0, "done"),)))
    [key] = add(store, replace(job("open", late), stages=(waits,)))
    store.prune(2e9, 2e9, keep=0)
    await store.commit()

    [number] = await store.open_jobs()
    found = await store.job(number)
    assert found is not None and (found.id, found.stages) == ("open", (waits,))
    assert await store.count_jobs() == 1

    store.update_job(replace(found, stages=(Stage(7.0, "done"),)))
    store.set_due(key, 7.0)
    stored = await store.pending_webhook(key)
    assert stored is not None and stored.webhook.late
    [more] = store.decide_webhook(stored, [replace(webhook("late"), due=7.0), replace(webhook("more"), due=7.0)])
    await store.commit()

    assert list(await store.open_jobs()) == []
    assert sorted(await store.pending_dues()) == [(7.0, key), (7.0, more)]
    assert [due and (due.url, due.late, due.job) for due in await store.dues([key, more])] == [
        ("http://app.test/hook", False, number),
        ("http://app.test/hook", False, number),
    ]
    with pytest.raises(UnstorableError):
        store.decide_webhook(stored, [replace(webhook("late"), to="http://app.test/\ud800")])


async def test_due_times(store: Store) -> None:
    first, held = add(store, job("j", webhook("a"), replace(webhook("b"), state=State.HELD)))
    [later] = add(store, job("k", replace(webhook("c"), due=1_800_000_009.0)))
    await store.commit()

    assert sorted(await store.pending_dues()) == [(1_800_000_005.25, first), (1_800_000_009.0, later)]
    assert list(await store.overdue(1_800_000_006.0, 10)) == [first]
    found = await store.find_job("j")
    assert found is not None
    store.bring_forward(found.key, 5.25)
    await store.commit()
    assert [stored.webhook.due for stored in await store.webhooks(found.key)] == [1_800_000_000.0] * 2
    assert await store.count_states() == {State.PENDING: 2, State.HELD: 1}
    assert await store.count_states([held]) == {State.HELD: 1}


async def test_what_has_finished_stays_so_unless_it_is_sent_again(store: Store) -> None:
    key = add_ended(store, "j")
    store.set_state(key, State.CANCELED, "too late")
    store.set_pending(key, 9.0)
    await store.commit()
    assert await store.count_states() == {State.DELIVERED: 1}

    store.set_pending(key, 9.0, again=True)
    await store.commit()
    assert await store.count_states() == {State.PENDING: 1}


# Commits


async def test_writes_after_a_commit_do_not_affect_it(store: Store) -> None:
    add(store, job("j", webhook()))
    await store.commit()
    add(store, job("k", webhook()))

    await store.commit()
    await store.commit()  # nothing to do

    assert await store.count_unfinished() == 2


async def test_a_commit_tells_which_webhooks_it_has_written(store: Store) -> None:
    [first], [second] = add(store, job("j", webhook())), add(store, job("k", webhook()))
    assert (await store.commit()).changed == {first, second}
    store.set_pending(second, 7.0)

    assert (await store.commit()).changed == {second}
    assert not (await store.commit()).changed


async def test_a_job_that_cannot_be_encoded_leaves_other_writes_alone(store: Store) -> None:
    add(store, job("before", webhook()))
    with pytest.raises(UnstorableError, match="no lone surrogates"):
        add(store, job("half", webhook(), replace(webhook("w2"), to="http://\ud800/")))
    [key] = add(store, job("after", webhook()))
    await store.commit()

    assert list(await store.job_ids()) == ["after", "before"]
    assert len(await store.webhooks()) == 2
    with pytest.raises(UnstorableError):
        store.add_attempt(key, 1, Outcome(1.0, 2.0, 200), State.DELIVERED, 0.0, Content("http://\ud800/"), 1.25)
    assert list(await store.attempts([key])) == []


@pytest.mark.parametrize("text", ["\0", "a\0b", "\U0010ffff", "'\"\\", "%s $1 ?"])
async def test_any_text_is_kept(store: Store, text: str) -> None:
    added = store.add_job(replace(job(text, replace(webhook(text), event=text)), mock=text, idempotency_key=text))
    store.add_attempt(added.webhooks[0], 1, Outcome(1.0, 2.0, None, text, text.encode()), State.FAILED, 0, CONTENT, 1)
    await store.commit()

    found = await store.find_job(text)
    assert found is not None and (found.id, found.mock) == (text, text)
    assert found == await store.job_for_idempotency_key(text, text)
    assert await store.webhook_key(text) == added.webhooks[0]
    for criteria in (Criteria(job=text), Criteria(mock=text), Criteria(event=text)):
        assert [match.key for match in await store.matching_webhooks(criteria, None, 9)] == list(added.webhooks)
        assert [match.key for match in await store.matching_jobs(criteria, None, 9)] == [added.job]
    [(_, attempt)] = await store.attempts(added.webhooks)
    assert attempt.error in (text, text.replace("\0", "␀"))  # PostgreSQL's texts have no NUL
    assert attempt.body == text.encode()


# Single values


async def test_numbers_are_kept_as_they_were_written(store: Store) -> None:
    numbers = b'{"a":[10.00,1E400,-0,1e2,1.5,12345678901234567.89],"b":123456789012345678901234567890}'
    add(store, replace(job("j"), vars=decode_json(numbers)))
    store.set_value("vars", {})
    store.set_value("vars", decode_json(numbers))
    await store.commit()

    [found] = await store.jobs()
    assert encode_json(found.vars) == encode_json(await store.get_value("vars", dict)) == numbers
    assert await store.get_value("others", dict) is None


async def test_clear_deletes_everything(store: Store) -> None:
    add_ended(store, "j")
    store.set_value("holding", True)
    store.add_definition("new", b"written")
    await store.commit()

    store.clear()
    await store.commit()

    assert await count(store) == (0, 0, 0)
    assert await store.get_value("holding", bool) is None
    if store.cluster is None:  # else a process that does not know of it yet may write jobs with this definition
        assert await store.definition("new") is None
    store.add_definition("new", b"written")
    await store.commit()
    assert await store.definition("new") == b"written"


# Old jobs


async def test_prune_deletes_the_oldest_ended_jobs_and_keeps_unfinished_ones(store: Store) -> None:
    [owed] = add(store, job("old, owed", webhook()))
    half, other_half = add(store, job("old, half ended", webhook("a"), webhook("b")))
    store.add_attempt(half, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    for number in range(10):
        add_ended(store, f"ended {number}")
    await store.commit()

    store.prune(0.0, 2e9, keep=3)
    await store.commit()

    assert await store.count_unfinished() == 2
    assert await store.pending_webhook(owed) is not None
    assert await store.pending_webhook(other_half) is not None
    assert await count(store) == (2 + 3, 3 + 3, 1 + 3)


@pytest.mark.parametrize(("before", "clock", "left"), [(0.0, 2e9, 1), (1_800_000_001.0, 2e9, 0), (2e9, 4.0, 1)])
async def test_prune_deletes_what_is_old_and_past_its_last_stage(
    store: Store, before: float, clock: float, left: int
) -> None:
    [key] = add(store, replace(job("j", webhook()), stages=(Stage(5.0, "done"),)))
    store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    await store.commit()

    store.prune(before, clock, keep=1)
    await store.commit()

    assert await count(store) == (left, left, left)


async def test_prune_deletes_definitions_without_jobs(store: Store) -> None:
    for name in ("old", "new"):
        store.add_definition(name, b"written")
        [key] = add(store, job(name, replace(webhook(), definition=name)))
        if name == "old":
            store.add_attempt(key, 1, OK, State.DELIVERED, 0.0, CONTENT, 1.25)
    await store.commit()

    store.prune(0.0, 2e9, keep=1)
    await store.commit()

    assert [await store.definition(name) for name in ("old", "new")] == [None, b"written"]


# Searches


async def test_sizes_count_everything_that_is_read_for_a_row(store: Store) -> None:
    small = store.add_job(job("small", webhook()))
    large = store.add_job(job("large", webhook(), body=b"x" * LARGE))
    sent = store.add_job(job("sent", webhook()))
    store.begin(sent.webhooks[0], 1, Content("http://app.test/", b"x" * LARGE))
    many = store.add_job(job("many", *(webhook(str(number)) for number in range(50))))
    await store.commit()

    jobs = dict(await store.matching_jobs(Criteria(), None, 9))
    webhooks = dict(await store.matching_webhooks(Criteria(), None, 99))
    assert jobs[small.job] < 5_000 < jobs[many.job]
    assert LARGE < jobs[large.job] < LARGE + 5_000
    assert LARGE < jobs[sent.job] < LARGE + 5_000
    assert webhooks[small.webhooks[0]] < 5_000
    assert webhooks[large.webhooks[0]] > LARGE and webhooks[sent.webhooks[0]] > LARGE
    found = [match.key for match in await store.sizes_of_webhooks([*many.webhooks, *small.webhooks])]
    assert found == [*reversed(many.webhooks), *small.webhooks]


async def test_rows_are_read_by_key_without_those_that_are_gone(store: Store) -> None:
    first, second = store.add_job(job("first", webhook("f"))), store.add_job(job("second", webhook("s")))
    store.delete_jobs([second.job])
    await store.commit()

    found = await store.webhooks_by_key([*first.webhooks, *second.webhooks, 99])
    assert [stored.webhook.id for stored in found] == ["f"]
    jobs: list[Job] = list(await store.jobs_by_key([first.job, second.job]))
    assert [stored.webhook.id for stored in await store.webhooks_of_jobs(jobs)] == ["f"]


async def test_searches_go_on_behind_a_key(store: Store) -> None:
    added = [store.add_job(job(str(number), webhook())) for number in range(5)]
    await store.commit()

    webhooks, jobs = [each.webhooks[0] for each in added], [each.job for each in added]
    assert [match.key for match in await store.matching_webhooks(Criteria(), webhooks[3], 2)] == webhooks[2:0:-1]
    assert [match.key for match in await store.matching_jobs(Criteria(), jobs[3], 2)] == jobs[2:0:-1]


async def test_criteria(store: Store) -> None:
    def of(id: str, event: str, state: State) -> Webhook:
        return replace(webhook(id, state), event=event)

    mocks = {"a": "one", "b": "two"}
    added = {
        id: store.add_job(replace(job(id, of(f"{id}1", "x", State.PENDING), of(f"{id}2", "y", State.HELD)), mock=mock))
        for id, mock in mocks.items()
    }
    await store.commit()

    async def found(**criteria: object) -> tuple[list[str], list[str]]:
        given = Criteria(**criteria)  # type: ignore[arg-type]
        keys = [match.key for match in await store.matching_webhooks(given, None, 99)]
        webhooks = [stored.webhook.id for stored in await store.webhooks_by_key(keys)]
        jobs = [match.key for match in await store.matching_jobs(given, None, 99)]
        return webhooks, [id for id, keys in reversed(added.items()) if keys.job in jobs]

    assert await found() == (["b2", "b1", "a2", "a1"], ["b", "a"])
    assert await found(job="a") == (["a2", "a1"], ["a"])
    assert await found(mock="two") == (["b2", "b1"], ["b"])
    assert await found(event="x", states=(State.PENDING, State.FAILED)) == (["b1", "a1"], ["b", "a"])
    assert await found(event="x", states=(State.HELD,)) == ([], [])
    assert await found(states=()) == ([], [])


async def test_a_mock_with_a_secret_in_its_name_is_found_by_it(store: Store) -> None:
    store.redaction.add(["s3cret-name"])
    added = store.add_job(replace(job("j", webhook()), mock="the s3cret-name mock"))
    await store.commit()

    criteria = Criteria(mock="the s3cret-name mock")
    assert [match.key for match in await store.matching_jobs(criteria, None, 10)] == [added.job]
    assert [match.key for match in await store.matching_webhooks(criteria, None, 10)] == list(added.webhooks)
    assert await store.matching_webhooks(Criteria(mock="another"), None, 10) == []


async def test_the_redirects_and_the_content_type_of_an_attempt_are_kept_without_secrets(
    make_store: Callable[..., Store],
) -> None:
    store = make_store(Redaction({"s3cret-token"}))
    await store.open()
    [key] = add(store, job("j", webhook()))
    redirects = (Redirect(307, "http://app.test/s3cret-token/\u00fc"), Redirect(302, "http://app.test/"))
    store.add_attempt(key, 1, REFUSED, State.PENDING, 0.0, CONTENT, 7.0)
    answer = Answer(200, headers=((b"Content-Type", b"text/s3cret-token; charset=latin-1"),))
    store.add_attempt(key, 2, replace(OK, redirects=redirects, answer=answer), State.DELIVERED, 0.0, CONTENT, 8.0)
    await store.commit()

    attempts = [attempt for _, attempt in await store.attempts([key])]
    assert [attempt.content_type for attempt in attempts] == [None, "text/***; charset=latin-1"]
    assert [attempt.redirects for attempt in attempts] == [
        (),
        (Redirect(307, "http://app.test/***/\u00fc"), redirects[1]),
    ]
    await store.close()
