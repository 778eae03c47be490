"""The parser of a command's arguments, and what completions ask it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latehook.base.version import versions
from latehook.cli.arguments import PROVIDERS, provider


class Parser(argparse.ArgumentParser):
    """A parser that lists its arguments."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.arguments: list[Argument] = []
        super().__init__(*given, **named)

    def add_argument(self, *given: Any, **named: Any) -> argparse.Action:
        """Add an argument, as argparse does."""
        action = super().add_argument(*given, **named)
        self.arguments.append(Argument(action))
        return action


class Argument:
    """An option, or a positional argument, which has no flags; and the values that it takes."""

    def __init__(self, action: argparse.Action) -> None:
        self.flags: Sequence[str] = action.option_strings
        self.help = action.help or ""
        self.metavar = str(action.metavar or action.dest.upper())
        self.takes_value = action.nargs != 0
        self.takes_file = action.type is Path
        self.words: Sequence[str] = [*PROVIDERS] if action.type is provider else [*map(str, action.choices or ())]
        """The values, if they are a known few."""
        self.is_optional = action.nargs in ("?", "*")
        self.repeats = action.nargs in ("*", "+") or (bool(self.flags) and isinstance(action.default, list))


class Version(argparse.Action):
    """Print the versions, and exit."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "nargs": 0})

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        print(versions())
        parser.exit()
