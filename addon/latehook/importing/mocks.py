"""PURE: the mocks of one `match`: for requests about a job, for those that start one, and for all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from latehook.importing.conditions import condition, reads, telling_parameter
from latehook.importing.exchanges import Exchange
from latehook.importing.handshakes import Handshake
from latehook.importing.lists import listed_jobs, text_of
from latehook.importing.messages import Templates
from latehook.importing.perspective import Perspective
from latehook.importing.relations import Relations
from latehook.importing.scrubbing import Scrubber, new_secret
from latehook.importing.shapes import generator
from latehook.importing.situations import Situation
from latehook.importing.sources import Reader
from latehook.importing.stage_mocks import Family, Mock, StageMaker
from latehook.importing.stages import Timeline
from latehook.importing.unify import Differs, Notes

CHECK = "validation"
"""The event of a webhook that checks the receiver."""

LONGEST_WAIT = "5m"
"""How long a long poll waits at most: recordings do not tell."""


@dataclass
class Made:
    """A mock with its comment."""

    mock: Mock
    notes: Notes
    comments: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The lines above the mock."""
        return [*self.comments, *(f"guessed: {line}" for line in self.notes.lines())]


class MockMaker:
    """Makes mocks. `left_out` collects the exchanges for which it makes none, with the reason."""

    def __init__(self, reader: Reader, relations: Relations, scrubber: Scrubber, secrets: dict[str, str]) -> None:
        self.reader = reader
        self.relations = relations
        self.scrubber = scrubber
        self.secrets = secrets
        self.stages = StageMaker(scrubber, secrets)
        self.left_out: list[tuple[Exchange, str]] = []
        self.idempotency_keys: dict[str, str] = {}  # the expressions of those that are no header, by `match`
        self.refusals: dict[
            str, tuple[Handshake, Sequence[Exchange]]
        ] = {}  # of receivers that failed a check, by `match`

    # Requests that start a job

    def start(self, match: str, family: Family, lives: Sequence[Timeline], when: str | None) -> Made:
        """Return the mock for requests that started these jobs."""
        notes = Notes()
        templates = Templates(self.scrubber, notes)
        mock: Mock = {"match": match}
        if when:
            mock["when"] = when
        job = self._job(lives)
        if "idempotency_key" not in job and (key := self.idempotency_keys.get(match)) is not None:
            job["idempotency_key"] = f"{{{{ {key} }}}}"
        if job:
            mock["job"] = job
        response = templates.response([(life.job.creator, family.perspective.of_start(life)) for life in lives])
        stages = self.stages.stages(family, [(life, life.segments[0]) for life in lives], notes)
        if not job and not stages:
            mock["job"] = {}
        mock |= {**({"response": response} if response else {}), **stages}
        if match in self.refusals:
            found, refused = self.refusals[match]
            self._refuse(mock, found, templates.response([(one, family.perspective.of_plain(one)) for one in refused]))
        if any(life.job.by_echo for life in lives):
            notes.add("only a text of the request ties this webhook to it", ("webhook",))
        return Made(mock, notes)

    def _refuse(self, mock: Mock, found: Handshake, refusal: dict[str, Any]) -> None:
        """Let a mock refuse what the receiver does not confirm."""
        first = [stage for stage in mock.get("stages", []) if stage.get("after") == "before-response"]
        holders: list[tuple[dict[str, Any], str]] = [(stage, "webhook") for stage in first if "webhook" in stage]
        event = CHECK
        for holder, key in holders or [(mock, "webhook")]:
            own = holder[key] if isinstance(holder[key], dict) else {}
            event = own.get("event", CHECK)
            holder[key] = {"event": event, **own}
        accepted = mock.get("response", {})
        refused = {"when": found.failed(event), "rejects": True, **refusal}
        mock["response"] = [refused, accepted or {"status": 200}]

    def _job(self, lives: Sequence[Timeline]) -> dict[str, Any]:
        job: dict[str, Any] = {}
        example = next((life.job for life in lives if life.job.id is not None), None)
        if example is not None:
            id = generator(self.scrubber.clean_id(example.id))
            if id != "{{ uuid() }}":
                job["id"] = id
        variables: dict[str, Any] = {}
        for life in lives:
            for text, name in life.job.vars.items():
                variables.setdefault(name, self._variable(text, life.job.id))
        if variables:
            job["vars"] = variables
        if any(life.job.creator.request.header("idempotency-key") for life in lives):
            job["idempotency_key"] = "{{ request.headers.idempotency_key }}"
        return job

    def _variable(self, text: str, id: Any) -> str:
        """Return a text with expressions that gives another value of a variable; the job's id in it stays the id."""
        if id is not None and str(id) in text:
            return "{{ job.id }}".join(new_secret(part) if part else "" for part in text.split(str(id)))
        return generator(self.scrubber.clean_id(text))

    # Requests about a job

    def lookups(self, match: str, family: Family, samples: Sequence[tuple[Timeline, Exchange]]) -> list[Made]:
        """Return the mocks for requests about jobs: one for all statuses, or one for each group of them."""
        if (when := telling_parameter([exchange for _, exchange in samples], self.reader)) is not None:
            return self._with_parameter(match, family, samples, when)
        made: list[Made] = []
        lookup = self._lookup(samples)
        waited = {status for life, exchange in samples if (status := life.waited_for(exchange)) is not None}
        if not waited:
            samples = [*samples, *self._first_response(samples)]
        groups = self._by_status(family, samples)
        for at, group in enumerate(groups):
            notes = Notes()
            mock: Mock = {"match": match, "lookup": lookup}
            statuses = sorted({life.status_met(exchange) for life, exchange in group}, key=family.place_of)
            if at < len(groups) - 1:
                mock["when"] = f"job.status == {statuses[0]!r}" if len(statuses) == 1 else f"job.status in {statuses!r}"
            answers = self._answers(family, group)
            if response := Templates(self.scrubber, notes).response(answers):
                mock["response"] = response
            if waited & set(statuses):
                mock["response"] = {**_until(sorted(waited)), **response}
                notes.add(f"it waits for the status, and not longer than {LONGEST_WAIT}", ("response", "until"))
            segments = [
                (life, segment) for life, exchange in group if (segment := life.segment_of(exchange)) is not None
            ]
            if segments:
                mock |= self.stages.stages(family, segments, notes)
            made.append(Made(mock, notes))
        return made

    def _with_parameter(
        self, match: str, family: Family, samples: Sequence[tuple[Timeline, Exchange]], when: str
    ) -> list[Made]:
        """Return the mocks for requests that have a parameter, and those for the rest behind them."""
        having = [one for one in samples if reads(self.reader, when, one[1])]
        first = self.lookups(match, family, having)
        for one in first:
            status = one.mock.get("when")
            one.mock = {"match": match, "lookup": one.mock["lookup"], **one.mock}
            one.mock["when"] = when if status is None else f"{when} and {status}"
        return [*first, *self.lookups(match, family, [one for one in samples if one not in having])]

    def _answers(
        self, family: Family, samples: Sequence[tuple[Timeline, Exchange]]
    ) -> list[tuple[Exchange, Situation]]:
        perspective = family.perspective
        return [
            (
                exchange,
                perspective.of_answer(life, exchange)
                if exchange in life.job.all
                else perspective.of_resource(life, exchange),
            )
            for life, exchange in samples
        ]

    def _first_response(self, samples: Sequence[tuple[Timeline, Exchange]]) -> list[tuple[Timeline, Exchange]]:
        """Return the responses to the requests that started the jobs, if these are the answers for an early status.

        They are if they have the same fields as the later answers, and nobody asked while the job had that status.
        """
        life, later = next(((one, exchange) for one, exchange in samples if exchange.is_success), samples[0])
        creator = life.job.creator
        first, asked = creator.response.body.value, later.response.body.value
        if (
            later.method != "GET"
            or not isinstance(first, dict)
            or not isinstance(asked, dict)
            or first.keys() != asked.keys()
        ):
            return []
        if life.status_at[creator] in {life.status_met(exchange) for life, exchange in samples}:
            return []
        early = replace(creator, status=later.status, method="GET")
        life.status_at[early] = life.status_at[creator]
        return [(life, early)]

    def _lookup(self, samples: Sequence[tuple[Timeline, Exchange]]) -> str:
        """Return the expression that reads the job's id from a request."""
        life, exchange = samples[0]
        text = str(life.job.id)
        sources = self.reader.sources(exchange)
        exact = [source.expression for source in sources if str(source.value) == text]
        return exact[0] if exact else "request.path.id"

    def _by_status(
        self, family: Family, samples: Sequence[tuple[Timeline, Exchange]]
    ) -> list[list[tuple[Timeline, Exchange]]]:
        """Return the samples in groups that one template gives; the group of the earliest status comes last."""
        groups: list[list[tuple[Timeline, Exchange]]] = []
        keyed: dict[tuple[bool, str, int], list[tuple[Timeline, Exchange]]] = {}
        for life, exchange in samples:
            key = life.segment_of(exchange) is not None, life.status_met(exchange), exchange.status
            keyed.setdefault(key, []).append((life, exchange))
        for key in sorted(keyed, key=lambda key: (-family.place_of(key[1]), not key[0], key[2])):
            fitting = next((group for group in groups if self._fit(family, [*group, *keyed[key]])), None)
            if fitting is not None:
                fitting += keyed[key]
            elif any(_are_in_conflict(group, keyed[key]) for group in groups):
                self.left_out += [
                    (exchange, "it was answered in another way, though the job had the same status")
                    for _, exchange in keyed[key]
                ]
            else:
                groups.append(list(keyed[key]))
        return groups

    def _fit(self, family: Family, samples: Sequence[tuple[Timeline, Exchange]]) -> bool:
        """Return whether one template gives all these responses."""
        if len({(exchange.status, life.segment_of(exchange) is not None) for life, exchange in samples}) > 1:
            return False
        answers = self._answers(family, samples)
        try:
            Templates(self.scrubber, Notes(), strict=True).response(answers)
        except Differs:
            return False
        return True

    # All other requests

    def plain(self, match: str, exchanges: Sequence[Exchange], when: str | None) -> Made:
        """Return the mock for requests that have nothing to do with a job."""
        notes = Notes()
        perspective = Perspective(self.reader)
        mock: Mock = {"match": match, **({"when": when} if when else {})}
        response = Templates(self.scrubber, notes).response([(one, perspective.of_plain(one)) for one in exchanges])
        return Made({**mock, **({"response": response} if response else {})}, notes)

    def of_list(self, match: str, exchanges: Sequence[Exchange], families: Mapping[str, Family]) -> Made | None:
        """Return the mock for requests that list the jobs of one mock, None if they list none."""
        for name, family in families.items():
            found = [
                (exchange, listed)
                for exchange in exchanges
                if (listed := listed_jobs(exchange, _lives_of(exchange, family))) is not None
            ]
            if not found or any(listed.path != found[0][1].path for _, listed in found):
                continue
            notes = Notes()
            notes.add("it lists jobs of another mock: only by the parameters that were seen", ("response",))
            templates = Templates(self.scrubber, notes)
            item = templates.unify(
                [
                    (item, family.perspective.of_listed(life, exchange))
                    for exchange, listed in found
                    for item, life in listed.items
                ]
            )
            exchange = max(found, key=lambda one: len(one[1].items))[0]
            situation = Perspective(self.reader).of_plain(exchange)
            text = text_of(found, name, item, templates.unify, situation)
            response = {"headers": {"Content-Type": "application/json"}, "text": text}
            status = {"status": exchange.status} if exchange.status != 200 else {}
            return Made({"match": match, "response": {**status, **response}}, notes)
        return None

    def when(self, chosen: Sequence[Exchange], others: Sequence[Exchange]) -> str | None:
        """Return the condition that only the chosen requests meet, None if there is none."""
        return condition(chosen, others, self.reader, self.relations, self.scrubber)


def _lives_of(exchange: Exchange, family: Family) -> list[Timeline]:
    """Return the lives of jobs that are in the same recording as an exchange."""
    return [life for life in family.lives if life.job.creator.recording == exchange.recording]


def _until(statuses: Sequence[str]) -> dict[str, str]:
    """Return the keys of a response that waits until the job has one of these statuses."""
    holds = f"job.status == {statuses[0]!r}" if len(statuses) == 1 else f"job.status in {list(statuses)!r}"
    return {"until": holds, "delay": LONGEST_WAIT}


def _are_in_conflict(group: Sequence[tuple[Timeline, Exchange]], other: Sequence[tuple[Timeline, Exchange]]) -> bool:
    """Return whether two groups of requests met jobs of the same status, so that no `when` tells them apart."""
    met, met_by_other = ({life.status_met(exchange) for life, exchange in one} for one in (group, other))
    return bool(met & met_by_other)
