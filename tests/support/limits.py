"""All time limits of the tests, in seconds.

A test waits for an event and continues as soon as it happens. A limit only ends a wait that would fail anyway, so it is generous.
On a machine that is very slow, set the environment variable LATEHOOK_TEST_TIME_SCALE to a factor: 3 triples every limit.
"""

import os

TIME_SCALE = float(os.environ.get("LATEHOOK_TEST_TIME_SCALE", "1"))

LIMIT = 30.0 * TIME_SCALE
"""For one event: a log line, a request, the start or the end of a process."""

LONG_LIMIT = 120.0 * TIME_SCALE
"""For what takes seconds on a quiet machine: 200 MB through the proxy, a pytest process with several tests."""

TEST_LIMIT = 300.0 * TIME_SCALE
"""For a whole test with its fixtures."""

PROMPT = 10.0 * TIME_SCALE
"""For an answer that must not wait for a timeout of mitmproxy or of the system; the shortest of those is 30 s or more."""

SILENCE = 0.3 * TIME_SCALE
"""For what must not come: a client that has received nothing for so long counts as waiting."""
