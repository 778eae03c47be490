"""PURE: infers the mocks of a third party from recordings."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from latehook.importing.behaviours import alike, by_behaviour, is_error, is_read
from latehook.importing.exchanges import Exchange, Recording, leaves
from latehook.importing.handshakes import handshake
from latehook.importing.joining import join
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
from latehook.importing.variables import drop_constants, find_numbers, find_variables, share_variables

IDEMPOTENCY_FIELD = re.compile(
    r"idempot|transaction_?id|client_?(reference|request|transaction)|external_?id|request_?id"
)
"""Names of fields by which services recognise a request that is repeated, in snake case."""


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
        self.secrets = secrets
        self.exchanges = [exchange for recording in recordings for exchange in recording.exchanges]
        self.scrubber = Scrubber(self.exchanges, secrets)
        traced = [trace(recording.exchanges) for recording in recordings]
        for recording, one in zip(recordings, traced, strict=True):
            find_variables(one.jobs, recording.exchanges)
        self.jobs = [job for one in traced for job in one.jobs]
        drop_constants(self.jobs)
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
        self._drop_unreachable()
        return self.result

    def _drop_unreachable(self) -> None:
        """Leave out mocks behind one that answers all of their requests."""
        answered: set[str] = set()
        kept = []
        for made in self.result.mocks:
            match = made.mock["match"]
            if match in answered:
                self.result.left_out.append(f"{match}: another mock answers all of these requests")
                continue
            kept.append(made)
            if "when" not in made.mock and "lookup" not in made.mock:
                answered.add(match)
        self.result.mocks = kept

    def _make_families(self) -> None:
        grouped: dict[str, list[Trace]] = {}
        for job in self.jobs:
            grouped.setdefault(self.matches.of(job.creator).text, []).append(job)
        for text, jobs in grouped.items():
            share_variables(jobs)
            find_numbers(jobs)
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
        groups = by_behaviour([exchange for exchange in exchanges if not self._is_repeat(exchange)], self.life_of)
        groups = self._without_refused(match, self._absorb(match, groups))
        rest = sorted(groups, key=lambda group: (not is_error(group), group[0].status not in (401, 403), len(group)))
        while rest:
            group = rest.pop(0)
            others = [exchange for other in rest for exchange in other]
            when = self.maker.when(group, others) if others else None
            if others and when is None and (self._joins(group, rest) or self._splits(group, rest)):
                continue
            if others and when is None:
                self.left_out += [
                    (one, "it was answered in another way, and nothing in the request tells why") for one in group
                ]
            else:
                self._make(match, group, when)

    def _joins(self, group: list[Exchange], rest: Sequence[list[Exchange]]) -> bool:
        """Add a group to another one that was answered alike, if their jobs can have gone one way."""
        lives = [self.life_of[one] for one in group if one in self.life_of]
        for other in rest if lives else ():
            others = [self.life_of[one] for one in other if one in self.life_of]
            if others and alike(group[0], other[0]) and (join(lives, others) or join(others, lives)):
                other += group
                return True
        return False

    def _splits(self, group: list[Exchange], rest: list[list[Exchange]]) -> bool:
        """Put the parts of a group of errors, each with another body, in front: each may have a condition."""
        parts: dict[bytes, list[Exchange]] = {}
        for exchange in group if is_error(group) else ():
            parts.setdefault(exchange.response.content, []).append(exchange)
        if len(parts) < 2:
            return False
        rest[:0] = parts.values()
        return True

    def _make(self, match: str, group: Sequence[Exchange], when: str | None) -> None:
        lives = [self.life_of[one] for one in group if one in self.life_of]
        if lives:
            self.result.mocks.append(self.maker.start(match, self.family_of[lives[0].job], lives, when))
        else:
            listing = self.maker.of_list(match, group, self.families) if when is None and is_read(group) else None
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
            same = next((one for one in starting if alike(one[0], group[0])), None)
            if same is None:
                kept.append(group)
                continue
            example = self.life_of[same[0]].job
            jobs = [Trace(one, _value_at(one, example.id_path), example.id_path) for one in group]
            same += group
            share_variables([*(life.job for life in family.lives), *jobs])
            self._add_family(match, [*family.lives, *timelines(jobs)])
            family = self.families[match]
        return kept

    def _without_refused(self, match: str, groups: list[list[Exchange]]) -> list[list[Exchange]]:
        """Return the groups without that of requests which were refused since their receiver did not pass a check.

        The mock of the accepted ones refuses them.
        """
        checked = [
            (group, [(one, webhook) for one in group if (webhook := self._check_during(one)) is not None])
            for group in groups
        ]
        complete = [(group, checks) for group, checks in checked if len(checks) == len(group)]
        for (accepted, passed), (refused, failed) in permutations(complete, 2):
            found = handshake(passed, failed, self.secrets) if accepted[0] in self.life_of else None
            if found is None:
                continue
            for one, webhook in passed:
                if one in self.life_of and (value := found.challenge_of(webhook)) is not None:
                    self.life_of[one].job.vars[str(value)] = found.variable
            self.maker.refusals[match] = found, refused
            for one in refused:
                self.checks.pop(one, None)
                self.life_of.pop(one, None)
            self._add_family(match, [life for life in self.families[match].lives if life.job.creator not in refused])
            return [group for group in groups if group is not refused]
        return groups

    def _check_during(self, exchange: Exchange) -> Exchange | None:
        """Return the webhook that came before the response to a request."""
        life = self.life_of.get(exchange)
        stages = life.segments[0].stages if life is not None and life.job.creator is exchange else []
        before = (stage.webhook for stage in stages if stage.is_before_response)
        return self.checks.get(exchange) or next(before, None)

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
