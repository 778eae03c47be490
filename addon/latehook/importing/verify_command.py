"""The command `latehook verify`: plays the requests of a recording to mocks, and says what differs."""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

from latehook.base.counting import number_of
from latehook.base.errors import LatehookError
from latehook.base.redaction import Redaction
from latehook.base.terminal import show_while_waiting
from latehook.importing import replay, writing
from latehook.importing.exchanges import Recording
from latehook.importing.links import named_urls, same_url, suffix_of
from latehook.importing.scrubbing import Scrubber
from latehook.mocksfile import loading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("mocks", type=Path, metavar="MOCKS", help="the mocks file")
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording: a flow file or a HAR file")
    parser.add_argument("--host", action="append", default=[], help="a host to compare (default: those of the mocks)")
    parser.add_argument("--secret-env", action="append", default=[], metavar="NAME", help="a secret's variable")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what differs. Return 0 if nothing does, otherwise 1. Raises LatehookError with the exit status 2."""
    try:
        return _run(arguments)
    except LatehookError as error:
        error.exit_status = 2  # type: ignore[attr-defined]
        raise


def _run(arguments: argparse.Namespace) -> int:
    from latehook.importing.reading import read  # imports mitmproxy

    secrets = writing.secrets_of(arguments.secret_env)
    hosts = arguments.host or sorted({mock.matcher.host for mock in loading.load([arguments.mocks], {}, set()).all})
    [recording] = read([arguments.file], hosts)
    if not any(not exchange.inbound for exchange in recording.exchanges):
        raise LatehookError(f"{arguments.file} has no request to {', '.join(hosts)}: nothing can be compared")
    env = _environment(recording)
    mocks = loading.load([arguments.mocks], env)
    with show_while_waiting(f"comparing {arguments.mocks} with {arguments.file}"):
        result = replay.replay(mocks, recording, Scrubber(recording.exchanges, secrets), env)
    redaction = Redaction(secrets)
    if arguments.json:
        print(json.dumps(redaction.redact(replay.as_json(result)), indent=2, ensure_ascii=False))
    else:
        for difference in result.differences:
            print(redaction.redact(str(difference)))
        said = number_of(len(result.differences), "difference") if result.differences else "no difference"
        compared = f"{number_of(result.requests, 'request')} and {number_of(result.webhooks, 'webhook')}"
        print(f"{arguments.file}: {compared} compared: {said}")
    return 1 if result.differences else 0


def _environment(recording: Recording) -> Mapping[str, str]:
    """Return the environment; CALLBACK_URL, if it is not set, is where recorded webhooks went that no request named."""
    named = [url for exchange in recording.exchanges if not exchange.inbound for url in named_urls(exchange)]
    webhooks = [exchange for exchange in recording.exchanges if exchange.inbound]
    unnamed = (one for one in webhooks if not any(same_url(url, one) or suffix_of(url, one) for url in named))
    webhook = next(unnamed, webhooks[0] if webhooks else None)
    callback = {} if webhook is None else {"CALLBACK_URL": f"{webhook.origin}{webhook.path}"}
    return {**callback, **os.environ}
