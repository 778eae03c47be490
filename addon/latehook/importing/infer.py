"""PURE: infers the mocks of a third party from recordings."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.importing.exchanges import Exchange, Recording, leaves
from latehook.importing.handshakes import handshake
from latehook.importing.matches import Match, Matches
from latehook.importing.mocks import Made, MockMaker
from latehook.importing.perspective import Perspective
from latehook.importing.relations import Relations
from latehook.importing.scrubbing import Scrubber
from latehook.importing.shapes import is_opaque
from latehook.importing.sources import Reader
from latehook.importing.stage_mocks import Family
from latehook.importing.stages import Timeline, timelines
from latehook.importing.tracing import Trace, trace
from latehook.importing.variables import find_variables, share_variables

IDEMPOTENCY_FIELD = re.compile(
    r"idempot|transaction_?id|client_?(reference|request|transaction)|external_?id|request_?id"
)
"""Names of fields by which services recognise a request that is repeated, in snake case."""


_ROOT = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?<([A-Za-z_][\w:.-]*)")
"""The root element of XML or HTML."""


@dataclass
class Inferred:
    """The mocks, and what was left out: a method and path (or a webhook) with its reason."""

    mocks: list[Made] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    requests: int = 0
    webhooks: int = 0
    others: Counter[str] = field(default_factory=Counter)


def infer(recordings: Sequence[Recording], secrets: Mapping[str, str]) -> Inferred:
    """Return the mocks of what these recordings have. `secrets` are values with the names of their variables."""
    return _Inference(recordings, dict(secrets)).run()


class _Inference:
    def __init__(self, recordings: Sequence[Recording], secrets: dict[str, str]) -> None:
        self.recordings = recordings
        self.exchanges = [exchange for recording in recordings for exchange in recording.exchanges]
        self.scrubber = Scrubber(self.exchanges, secrets)
        traced = [trace(recording.exchanges) for recording in recordings]
        for recording, one in zip(recordings, traced, strict=True):
            find_variables(one.jobs, recording.exchanges)
        self.jobs = [job for one in traced for job in one.jobs]
        self.result = Inferred()
        self.left_out = [pair for one in traced for pair in one.left_out]
        self.checks = dict(pair for one in traced for pair in one.checks)
        ids = {str(job.id) for job in self.jobs if job.id is not None}
        variables = {text: name for job in self.jobs for text, name in job.vars.items()}
        self.matches = Matches(self.exchanges, ids, variables, self.scrubber)
        self.reader = Reader(self.matches.captures)
        self.relations = Relations(self.jobs, self.reader, lambda exchange: self.matches.of(exchange).text)
        self.maker = MockMaker(self.reader, self.relations, self.scrubber, secrets)
        self.families: dict[str, Family] = {}
        self.family_of: dict[Trace, Family] = {}
        self.life_of: dict[Exchange, Timeline] = {}

    def run(self) -> Inferred:
        self._make_families()
        by_match: dict[Match, list[Exchange]] = {}
        for exchange in self.exchanges:
            if not exchange.inbound:
                by_match.setdefault(self.matches.of(exchange), []).append(exchange)
        for match in sorted(by_match, key=lambda match: match.captures):
            self._mocks_of(match.text, by_match[match])
        self._count()
        return self.result

    def _make_families(self) -> None:
        grouped: dict[str, list[Trace]] = {}
        for job in self.jobs:
            grouped.setdefault(self.matches.of(job.creator).text, []).append(job)
        for text, jobs in grouped.items():
            share_variables(jobs)
            self._add_family(text, timelines(jobs))

    def _add_family(self, text: str, lives: list[Timeline]) -> None:
        family = Family(lives, Perspective(self.reader, lives, self.relations))
        self.families[text] = family
        for life in lives:
            self.family_of[life.job] = family
            for exchange in life.job.all:
                self.life_of[exchange] = life

    def _mocks_of(self, match: str, exchanges: Sequence[Exchange]) -> None:
        about: dict[int, tuple[Family, list[tuple[Timeline, Exchange]]]] = {}
        others: list[Exchange] = []
        for exchange in exchanges:
            life = self.life_of.get(exchange)
            if life is None or life.job.creator is exchange or life.job.id is None:
                others.append(exchange)
            else:
                family = self.family_of[life.job]
                about.setdefault(id(family), (family, []))[1].append((life, exchange))
        for family, samples in about.values():
            self.result.mocks += self.maker.lookups(match, family, samples)
        self._others(match, [exchange for exchange in others if exchange.status])
        self.left_out += [(exchange, "it has no response") for exchange in others if not exchange.status]

    # Requests that are not about a job that exists

    def _others(self, match: str, exchanges: Sequence[Exchange]) -> None:
        groups = _by_behaviour([exchange for exchange in exchanges if not self._is_repeat(exchange)], self.life_of)
        groups = self._without_refused(match, self._absorb(match, groups))
        rest = sorted(groups, key=lambda group: (not _is_error(group), len(group)))
        while rest:
            group = rest.pop(0)
            others = [exchange for other in rest for exchange in other]
            when = self.maker.when(group, others) if others else None
            if others and when is None:
                self.left_out += [
                    (one, "it was answered in another way, and nothing in the request tells why") for one in group
                ]
            else:
                self._make(match, group, when)

    def _make(self, match: str, group: Sequence[Exchange], when: str | None) -> None:
        lives = [self.life_of[one] for one in group if one in self.life_of]
        if lives:
            self.result.mocks.append(self.maker.start(match, self.family_of[lives[0].job], lives, when))
        else:
            listing = self.maker.of_list(match, group, self.families) if when is None and _is_read(group) else None
            self.result.mocks.append(listing or self.maker.plain(match, group, when))

    def _is_repeat(self, exchange: Exchange) -> bool:
        """Return whether a request repeats an idempotency key, so that it got the answer of the first one again."""
        key = exchange.request.header("idempotency-key")
        if exchange in self.life_of:
            return False
        if not key:
            return self._repeats_field(exchange)
        first = next(
            (one for one in self.exchanges if one.request.header("idempotency-key") == key and one in self.life_of),
            None,
        )
        return (first is not None and first.response.content == exchange.response.content) or (
            first is not None and str(self.life_of[first].job.id) in exchange.given_words
        )

    def _repeats_field(self, exchange: Exchange) -> bool:
        """Return whether a request got the job of an earlier one, whose field for that has the same value."""
        match = self.matches.of(exchange)
        here = {source.expression: source.value for source in self.reader.sources(exchange)}
        for first in self.exchanges:
            if first is exchange:
                return False
            if first.inbound or first not in self.life_of or self.life_of[first].job.creator is not first:
                continue
            if self.matches.of(first).text != match.text:
                continue
            if str(self.life_of[first].job.id) not in exchange.given_words or not exchange.is_success:
                continue
            for source in self.reader.sources(first):
                is_key = IDEMPOTENCY_FIELD.search(source.key) is not None and is_opaque(source.value)
                if is_key and here.get(source.expression) == source.value:
                    self.maker.idempotency_keys[match.text] = source.expression
                    return True
        return False

    def _absorb(self, match: str, groups: list[list[Exchange]]) -> list[list[Exchange]]:
        """Join requests whose job nobody asked for later with those that started a job and had the same response."""
        family = self.families.get(match)
        starting = [group for group in groups if any(one in self.life_of for one in group)]
        if family is None or not starting:
            return groups
        kept = list(starting)
        for group in groups:
            if group in starting:
                continue
            alike = next((one for one in starting if _alike(one[0], group[0])), None)
            if alike is None:
                kept.append(group)
                continue
            example = self.life_of[alike[0]].job
            jobs = [Trace(one, _value_at(one, example.id_path), example.id_path) for one in group]
            alike += group
            share_variables([*(life.job for life in family.lives), *jobs])
            self._add_family(match, [*family.lives, *timelines(jobs)])
            family = self.families[match]
        return kept

    def _without_refused(self, match: str, groups: list[list[Exchange]]) -> list[list[Exchange]]:
        """Return the groups without that of requests which were refused since their receiver did not pass a check.

        The mock of the accepted ones refuses them.
        """
        accepted = [
            (life.job.creator, stage.webhook)
            for life in (self.families[match].lives if match in self.families else ())
            for stage in life.segments[0].stages
            if stage.is_before_response and stage.webhook is not None
        ]
        for group in groups if accepted else ():
            refused = [(one, self.checks[one]) for one in group if one in self.checks]
            found = handshake(accepted, refused) if len(refused) == len(group) else None
            if found is None:
                continue
            for life in self.families[match].lives:
                for creator, webhook in accepted:
                    if creator is life.job.creator and (value := found.challenge_of(webhook)) is not None:
                        life.job.vars[str(value)] = found.variable
            self.maker.refusals[match] = found, group
            for one in group:
                del self.checks[one]
            return [other for other in groups if other is not group]
        return groups

    def _count(self) -> None:
        self.result.requests = sum(not exchange.inbound for exchange in self.exchanges)
        self.result.webhooks = sum(exchange.inbound for exchange in self.exchanges)
        for recording in self.recordings:
            self.result.others.update(recording.others)
        self.left_out += [(webhook, "it came during a request that was refused") for webhook in self.checks.values()]
        reasons: dict[tuple[str, str], int] = {}
        for exchange, reason in [*self.left_out, *self.maker.left_out]:
            what = "a webhook" if exchange.inbound else self.matches.of(exchange).text
            reasons[what, reason] = reasons.get((what, reason), 0) + 1
        self.result.left_out = [
            f"{what} ({count} times): {reason}" if count > 1 else f"{what}: {reason}"
            for (what, reason), count in reasons.items()
        ]


def _value_at(exchange: Exchange, path: Any) -> Any:
    """Return the value at a place of a response."""
    return next((value for place, value in leaves(exchange.response.body.value) if place == path), None)


def _is_error(group: Sequence[Exchange]) -> bool:
    return not group[0].is_success


def _is_read(group: Sequence[Exchange]) -> bool:
    return group[0].method == "GET" and group[0].is_success and group[0].response.body.kind == "json"


def _alike(first: Exchange, second: Exchange) -> bool:
    return _behaviour(first) == _behaviour(second)


def _behaviour(exchange: Exchange) -> str:
    """Return what tells answers of different kinds apart: the status, and which fields or root element the body has."""
    body = exchange.response.body
    root = _ROOT.match(body.value) if isinstance(body.value, str) else None
    return json.dumps([exchange.status, body.kind, _fields(body.value, 2), root and root[1]], sort_keys=True)


def _fields(value: Any, depth: int) -> Any:
    if isinstance(value, dict) and depth:
        return {
            str(key): _fields(item, depth - 1) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))
        }
    return None


def _by_behaviour(exchanges: Sequence[Exchange], life_of: Mapping[Exchange, Timeline]) -> list[list[Exchange]]:
    """Return the exchanges in groups that were answered alike, and whose jobs went through the same statuses."""
    groups: list[list[Exchange]] = []
    for exchange in exchanges:
        fitting = (
            group
            for group in groups
            if _alike(group[0], exchange) and _same_life(life_of.get(group[0]), life_of.get(exchange))
        )
        group = next(fitting, None)
        if group is None:
            groups.append([exchange])
        elif exchange in life_of and len(life_of[exchange].segments[0].stages) > len(
            life_of[group[0]].segments[0].stages
        ):
            group.insert(0, exchange)
        else:
            group.append(exchange)
    return groups


def _same_life(first: Timeline | None, second: Timeline | None) -> bool:
    """Return whether two jobs went the same way, as far as both were recorded."""
    if first is None or second is None:
        return first is second
    ways = [[(stage.status, stage.webhook is None) for stage in life.segments[0].stages] for life in (first, second)]
    statuses = [[status for status, _ in way if status is not None] for way in ways]
    return all(one == other for one, other in zip(*statuses, strict=False))
