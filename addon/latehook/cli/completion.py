"""The command `latehook completion`: prints the completion for bash or zsh, made from the parsers of the arguments."""

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from latehook.cli import COMMANDS, make_parsers
from latehook.cli.parser import Argument

DESCRIPTION = """\
Prints the completion of this command for a shell. Load it where your shell starts:

  eval "$(latehook completion bash)"      in ~/.bashrc
  eval "$(latehook completion zsh)"       in ~/.zshrc, after compinit
"""

BASH = """\
_latehook() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=
  COMPREPLY=()
  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}  # --option=value is three words
  [[ $cur == = ]] && cur=
  if ((COMP_CWORD == 1)); then
    words=%(top)s
  elif [[ " ${COMP_WORDS[*]:2:COMP_CWORD-2} " == *" -- "* ]]; then
    return  # arguments of mitmproxy: files
  else
    case ${COMP_WORDS[1]} in
%(commands)s
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _latehook latehook
"""

ZSH = """\
#compdef latehook
_latehook() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C %(top)s '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      local -a commands
      commands=(%(names)s)
      _describe command commands
      ;;
    argument)
      case $words[1] in
%(commands)s
      esac
      ;;
  esac
}
if [[ $funcstack[1] == _latehook ]]; then _latehook "$@"; else compdef _latehook latehook; fi
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = DESCRIPTION
    parser.add_argument("shell", choices=["bash", "zsh"], metavar="SHELL", help="bash or zsh")


def run(arguments: argparse.Namespace) -> int:
    """Print the completion."""
    top, parsers = make_parsers(*COMMANDS)
    commands = {name: parser.arguments for name, parser in parsers.items()}
    print({"bash": _bash, "zsh": _zsh}[arguments.shell](top.arguments, commands), end="")
    return 0


def _bash(top: Sequence[Argument], commands: Mapping[str, Sequence[Argument]]) -> str:
    lines = [line for name, arguments in commands.items() for line in _bash_command(name, arguments)]
    words = [*commands, *(flag for argument in top for flag in argument.flags)]
    return BASH % {"top": shlex.quote(" ".join(words)), "commands": "\n".join(lines)}


def _bash_command(name: str, arguments: Sequence[Argument]) -> Iterator[str]:
    """Yield the lines of the shell's case for a command."""
    yield f"      {name})"
    yield "        case $prev in"
    options = [argument for argument in arguments if argument.flags]
    for option in options:
        if option.takes_value:
            yield f"          {'|'.join(option.flags)}) {_bash_values([option])} ;;"
    yield f"          *) {_bash_values([argument for argument in arguments if not argument.flags])}"
    flags = shlex.quote(" ".join(flag for option in options for flag in option.flags))
    yield f"             if [[ $cur == -* ]]; then words={flags}; fi ;;"
    yield "        esac ;;"


def _bash_values(arguments: Sequence[Argument]) -> str:
    """Return what offers the values of arguments: words, files (bash's default), or nothing."""
    words = [word for argument in arguments for word in argument.words]
    if any(argument.takes_file for argument in arguments):
        return "words="
    return f"words={shlex.quote(' '.join(words))}; compopt +o default 2>/dev/null"


def _zsh(top: Sequence[Argument], commands: Mapping[str, Sequence[Argument]]) -> str:
    lines = [
        f"        {name}) _arguments {' '.join(spec for argument in arguments for spec in _zsh_specs(argument))} ;;"
        for name, arguments in commands.items()
    ]
    names = " ".join(shlex.quote(f"{name}:{command.help}") for name, command in COMMANDS.items())
    specs = " ".join(spec for argument in top for spec in _zsh_specs(argument))
    return ZSH % {"top": specs, "names": names, "commands": "\n".join(lines)}


def _zsh_specs(argument: Argument) -> Iterator[str]:
    """Yield what zsh's `_arguments` takes for an argument: one text for each flag, or one for a positional argument."""
    if not argument.flags:
        start = "*" if argument.repeats else ":" if argument.is_optional else ""
        yield shlex.quote(f"{start}:{_zsh_values(argument)}")
    for flag in argument.flags:
        start = "*" if argument.repeats else f"({' '.join(argument.flags)})"
        ending = "" if not argument.takes_value else "=" if flag.startswith("--") else "+"
        value = f":{_zsh_values(argument)}" if argument.takes_value else ""
        yield shlex.quote(f"{start}{flag}{ending}[{_zsh_text(argument.help)}]{value}")


def _zsh_values(argument: Argument) -> str:
    """Return the name of an argument's values, and what offers them."""
    action = f"({' '.join(argument.words)})" if argument.words else "_files" if argument.takes_file else " "
    return f"{_zsh_text(argument.metavar)}:{action}"


def _zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)
