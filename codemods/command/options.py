"""The options of the command line: their names, their help, their completion in a shell.

Every option has a `dest` and a default in the parser, so that a configuration file can give it with `set_defaults`.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ..disk.exclusion import Exclusion
from ..model import BLOCKS, FUNCTIONS, Options
from ..reporting.facts import tool_version
from ..source.visible import visible
from . import own_backends

FORMATS = ("text", "json", "sarif", "github")
RUNTIMES = ("auto", "shared", "package", "inline")
SHELLS = ("bash", "zsh", "fish")
_ALL = (*BLOCKS, FUNCTIONS)

_EXAMPLES = """\
examples:
  {prog} src/clients --diff        show what would change
  {prog} src/clients               change the files in place
  {prog} src/clients --remove      take everything out again
  {prog} src --check --report review.html
exit status: 0 done; 1 changes found by --check, --diff; 2 usage; 3 left alone
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors say what to do next."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, suggest what may have been meant, and exit with status 2."""
        match = re.match(r"argument (\S+): invalid choice: '([^']*)'", message)
        if match:
            message += self._choice(match[1].split("/")[-1], match[2])
        match = re.match(r"unrecognized arguments: (\S+)", message)
        if match:
            message = f"there is no option {match[1].partition('=')[0]}." + self._suggestion(match[1])
        print(f"{self.prog}: {visible(message)}\nTry '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(2)

    def _choice(self, option: str, given: str) -> str:
        """Return which of the values that an option takes was meant."""
        choices = [str(c) for a in self._actions if option in a.option_strings for c in a.choices or ()]
        close = difflib.get_close_matches(given.lower(), choices, n=1)
        return f". Did you mean {close[0]!r}?" if close else ""

    def _suggestion(self, given: str) -> str:
        known = [option for action in self._actions for option in action.option_strings]
        close = difflib.get_close_matches(given.partition("=")[0], known, n=1)
        return f" Did you mean {close[0]}?" if close else ""


def _formatter(prog: str) -> argparse.HelpFormatter:
    width = max(60, min(shutil.get_terminal_size().columns, 100))
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=width)


class _Completion(argparse.Action):
    """Prints the completion script of a shell, made by shtab, and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        try:
            import shtab
        except ImportError:
            parser.error("--completion needs shtab: pip install 'backend-retrofit[completion]'")
        for action in parser._actions:
            if action.dest == "api":
                action.choices = (*own_backends.APIS, "all")
            elif action.dest == "paths" or action.metavar == "FILE":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell=str(values)))
        parser.exit()


def _block_list(text: str) -> tuple[str, ...]:
    asked = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in asked if name not in _ALL]
    if unknown or not asked:
        close = difflib.get_close_matches(unknown[0] if unknown else "", _ALL, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise argparse.ArgumentTypeError(f"takes {','.join(_ALL)}, not {text!r}.{hint}")
    return tuple(name for name in _ALL if name in asked)


def _api(text: str) -> str:
    try:
        own_backends.names_of([text])
    except own_backends.UnknownApi as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _variable(text: str) -> str:
    """Check `NAME` or `CLASS=NAME`."""
    owner, given, name = text.rpartition("=")
    if not name.isidentifier() or (given and not owner.isidentifier()):
        raise argparse.ArgumentTypeError(
            f"takes the name of an environment variable, or CLASS=NAME for one class, not {text!r}"
        )
    return text


def key_variables(given: Sequence[str]) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the variables for all classes, and those for single ones, each in the order in which they were given."""
    of_all: list[str] = []
    of_one: dict[str, list[str]] = {}
    for text in given:
        owner, _, name = text.rpartition("=")
        (of_one.setdefault(owner, []) if owner else of_all).append(name)
    return tuple(of_all), tuple((owner, tuple(names)) for owner, names in of_one.items())


def _report(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".html", ".htm"):
        raise argparse.ArgumentTypeError(f"takes the name of an .html file, not {text!r}")
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise argparse.ArgumentTypeError(
            f"cannot be written: there is no folder {str(path.parent)!r} to write to"
        )
    return path


def _number(text: str, least: int, of_what: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"takes a number of {of_what}, not {text!r}")
    return number


def _jobs(text: str) -> int:
    return _number(text, 0, "processes (0: as many as cores)")


def _bytes(text: str) -> int:
    return _number(text, 1, "bytes")


def parser(prog: str) -> Parser:
    """Return the parser of the command line."""
    result = Parser(
        prog=prog,
        usage=f"{prog} [options] PATH ...",
        description="Give Python API clients a request queue, exponential backoff and environment keys.",
        epilog=_EXAMPLES.format(prog=prog),
        formatter_class=_formatter,
        allow_abbrev=False,
        add_help=False,
    )
    _add_what(result)
    _add_how(result)
    _add_say(result)
    return result


def _add_what(result: Parser) -> None:
    what = result.add_argument_group("what to work on")
    what.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files and folders; - reads standard input"
    )
    what.add_argument(
        "--api", action="append", default=[], type=_api, metavar="NAME|all", help="a backend of this project"
    )
    what.add_argument(
        "--exclude",
        action="append",
        default=[],
        type=_pattern,
        metavar="PATTERN",
        help="leave these alone (patterns as in .gitignore)",
    )
    what.add_argument(
        "--stdin-filename", type=Path, metavar="FILE", help="file name of the code that - reads"
    )


def _pattern(text: str) -> str:
    try:
        Exclusion([text], Path())
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a pattern as in a .gitignore, not {text!r}") from None
    return text


def _runtime(text: str) -> str:
    """Check where the runtime is to go: one of the words, or the dotted name of a module."""
    parts = text.split(".")
    if text in RUNTIMES or (len(parts) > 1 and all(part.isidentifier() for part in parts)):
        return text
    close = difflib.get_close_matches(text, RUNTIMES, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise argparse.ArgumentTypeError(
        f"takes {', '.join(RUNTIMES)} or a module such as shop.http._request_engine, not {text!r}.{hint}"
    )


def _add_how(result: Parser) -> None:
    how = result.add_argument_group("what to do")
    how.add_argument("--diff", action="store_true", help="print what would change as a patch; write nothing")
    how.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything would change")
    how.add_argument("--explain", action="store_true", help="list every class and call; write nothing")
    how.add_argument("--remove", action="store_true", help="take the retrofit out again")
    how.add_argument(
        "--blocks",
        type=_block_list,
        default=BLOCKS,
        metavar="LIST",
        help=f"{','.join(BLOCKS)} (default: all)",
    )
    how.add_argument(
        "--functions", action="store_true", help="give module functions and static methods a queue, too"
    )
    how.add_argument(
        "--runtime",
        type=_runtime,
        default="auto",
        metavar="WHERE",
        help="shared, package, inline, or a module's dotted name",
    )
    how.add_argument(
        "--existing",
        choices=("queue-only", "wrap", "skip"),
        default="queue-only",
        metavar="HOW",
        help="calls retried already: queue-only (default), wrap, skip",
    )
    how.add_argument(
        "--no-guess",
        dest="guess",
        action="store_false",
        help="wrap no call whose target cannot be seen in the file",
    )
    how.add_argument("--guess", action="store_true", default=True, help=argparse.SUPPRESS)
    how.add_argument(
        "--key-env",
        action="append",
        default=[],
        type=_variable,
        metavar="[CLASS=]VAR",
        help="environment variable of the API key",
    )
    edited = how.add_mutually_exclusive_group()
    edited.add_argument(
        "--merge", action="store_true", help="bring blocks edited by hand up to date, keep the edits"
    )
    edited.add_argument(
        "--overwrite-edited", action="store_true", help="replace blocks that were edited by hand"
    )
    how.add_argument(
        "--jobs", type=_jobs, default=0, metavar="N", help="processes (default: 0, as many as cores)"
    )
    how.add_argument(
        "--max-size",
        type=_bytes,
        default=Options.largest,
        metavar="BYTES",
        help=f"leave larger files alone (default: {Options.largest:,})",
    )


def _add_say(result: Parser) -> None:
    say = result.add_argument_group("what to print")
    say.add_argument("--report", type=_report, metavar="FILE", help="write the review page, one HTML file")
    say.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        metavar="NAME",
        help="how to print it: text, json, sarif, github",
    )
    say.add_argument("--statistics", action="store_true", help="print counts by decision and reason")
    say.add_argument(
        "--baseline", type=Path, metavar="FILE", help="report only skips that FILE does not list"
    )
    say.add_argument(
        "--write-baseline", action="store_true", help="write all skips of this run to the baseline FILE"
    )
    say.add_argument("-q", "--quiet", action="store_true", help="print only errors")
    say.add_argument("-v", "--verbose", action="store_true", help="print unchanged and skipped files, too")
    say.add_argument("--list-apis", action="store_true", help="print the names for --api")
    say.add_argument(
        "--completion",
        action=_Completion,
        choices=SHELLS,
        metavar="SHELL",
        help="print completion for bash, zsh or fish",
    )
    say.add_argument(
        "--version", action="version", version=f"%(prog)s {tool_version()}", help="print the version"
    )
    say.add_argument("-h", "--help", action="help", help="print this help")
