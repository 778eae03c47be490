"""What a list finds in the store before it reads: keys and sizes."""

from latehook.base.model import Content, Criteria, Job, Request, Webhook
from latehook.store import Store

LARGE = 3_000_000


def add(store: Store, id: str, body: bytes = b"", webhooks: int = 1) -> list[int]:
    request = Request("POST", "https", "api.slow.example", 443, "/jobs", body=body)
    owed = tuple(Webhook(f"{id}-{number}", 0, "", 0, 5.0, "http://app.test/") for number in range(webhooks))
    return store.add_job(Job(id, "mock", 1.0, request, webhooks=owed))


def test_sizes_count_everything_that_is_read_for_a_row() -> None:
    store = Store()
    [small] = add(store, "small")
    [large] = add(store, "large", b"x" * LARGE)
    [sent] = add(store, "sent")
    store.set_content(sent, Content("http://app.test/", b"x" * LARGE))
    many = add(store, "many", webhooks=50)

    jobs = {
        job.id: match.size
        for match in store.matching_jobs(Criteria(), None, 9)
        for job in store.jobs_by_key([match.key])
    }
    webhooks = {match.key: match.size for match in store.matching_webhooks(Criteria(), None, 99)}
    assert jobs["small"] < 5_000 < jobs["many"]
    assert LARGE < jobs["large"] < LARGE + 5_000
    assert LARGE < jobs["sent"] < LARGE + 5_000
    assert webhooks[small] < 5_000 and webhooks[large] > LARGE and webhooks[sent] > LARGE
    assert [match.key for match in store.sizes_of_webhooks([*many, small])] == [*reversed(many), small]


def test_rows_are_read_by_key_without_those_that_are_gone() -> None:
    store = Store()
    [first], [second] = add(store, "first"), add(store, "second")
    keys = [match.key for match in store.matching_jobs(Criteria(), None, 9)]
    store.delete_jobs(keys[:1])

    assert [job.id for job in store.jobs_by_key(keys)] == ["first"]
    assert [stored.webhook.id for stored in store.webhooks_by_key([first, second, 99])] == ["first-0"]
    assert [stored.webhook.id for stored in store.webhooks_of_jobs(store.jobs_by_key(keys))] == ["first-0"]


def test_the_keys_of_changed_webhooks_are_taken_once() -> None:
    store = Store()
    [first], [second] = add(store, "first"), add(store, "second")
    assert store.take_changed() == {first, second}
    store.set_pending(second, 7.0)

    assert store.take_changed() == {second}
    assert store.take_changed() == set()
