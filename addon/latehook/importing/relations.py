"""PURE: requests that earlier jobs of other mocks are about, such as the registration of a callback URL."""

from collections.abc import Callable, Sequence

from latehook.importing.exchanges import Exchange
from latehook.importing.links import is_url
from latehook.importing.scrubbing import SECRET_KEY
from latehook.importing.shapes import is_opaque
from latehook.importing.sources import Reader, Source, member, quote
from latehook.importing.tracing import Trace


class Relations:
    """Finds the jobs that a request shares a value with: a URL, or the job's id.

    `match_of` gives the `match` of a request, by which expressions find the jobs of a mock.
    """

    def __init__(self, jobs: Sequence[Trace], reader: Reader, match_of: Callable[[Exchange], str]) -> None:
        self._reader = reader
        self._match_of = match_of
        self._by_value: dict[tuple[int, str], list[tuple[Trace, str]]] = {}
        for job in jobs:
            creator = job.creator
            for source in reader.sources(creator):
                if is_url(source.value):
                    self._by_value.setdefault((creator.recording, source.value), []).append((job, source.expression))
            if job.id is not None and is_opaque(job.id):
                self._by_value.setdefault((creator.recording, str(job.id)), []).append((job, "id"))

    def of(self, exchange: Exchange, base: str = "request") -> list[Source]:
        """Return what can be read of related jobs: that there is one (true), and secrets that its request gave.

        `base` is what reads the request in an expression.
        """
        found: dict[str, Source] = {}
        for source in self._reader.sources(exchange):
            for job, attribute in self._by_value.get((exchange.recording, str(source.value)), ()):
                if job.creator.ended > exchange.started or self._match_of(job.creator) == self._match_of(exchange):
                    continue
                jobs = f"jobs | selectattr('mock', 'equalto', {quote(self._match_of(job.creator))})"
                value = source.expression.replace("request", base, 1)
                one = f"({jobs} | selectattr({quote(attribute)}, 'equalto', {value}) | first)"
                found[one] = Source(one, "", True)
                for given in self._reader.sources(job.creator):
                    if SECRET_KEY.search(given.key) and isinstance(given.value, str):
                        expression = member(one, "request") + given.expression.removeprefix("request")
                        found[expression] = Source(expression, given.key, given.value)
        return list(found.values())
