"""Reads `[tool.backend-retrofit]` of the pyproject.toml above the first path: options, settings, own transports.

    [tool.backend-retrofit]
    blocks = ["queue", "backoff"]
    existing = "wrap"
    key-env = ["SHOP_TOKEN"]

    [tool.backend-retrofit.settings]
    max_retries = 2                            # what the blocks that are made give in the place of 5
    queue_timeout = "none"

    [[tool.backend-retrofit.transports]]
    functions = ["shop.http.fetch"]            # fetch(...) is a request
    clients = ["shop.http.HttpClient"]         # HttpClient(...).get(...) is one
    methods = ["get", "post"]                  # empty or not there: all its public methods
    own-retries = "make it with retries=0"     # said in the report; its calls are queued only

The names of the options are those of the command line without the dashes; the command line wins.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..blocks.templates import OPTIONS
from ..disk.regular import read
from ..source.visible import visible_name
from ..tables.rows import ASYNC, BOTH, NONE, SYNC, Client, Library

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = "backend-retrofit"
_LARGEST = 1_000_000
"""Bytes of a file that is looked into."""
_NOT_IN_A_FILE = frozenset(
    {"paths", "api", "stdin_filename", "list_apis", "completion", "version", "help", "write_baseline"}
)
"""Options that say what this one run is about."""
_ROW = ("functions", "clients", "methods", "nested", "calls", "own-retries")


class ConfigError(ValueError):
    """The configuration is not valid; the message says where and why."""


def parse_args(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line, with defaults from the configuration of the first path.

    Wrong configuration is a usage error: the parser's `error` is called.
    """
    _add_negations(parser)
    given = parser.parse_args(argv)
    paths = [path for path in given.paths if str(path) != "-"]
    first = paths[0] if paths else given.stdin_filename if given.paths else None
    if first is None:
        return given
    try:
        found = find(first)
        if found is None:
            return given
        options = _options(parser, *found)
    except ConfigError as error:
        parser.error(str(error))
    told = _told(parser, argv)
    for group in parser._mutually_exclusive_groups:
        members = {action.dest for action in group._group_actions}
        if members & told:
            told |= members
    for name, value in options.items():
        if name not in told:
            setattr(given, name, value)
    if "exclude" in options and "exclude" not in told:
        given.exclude_from = found[0].parent
    if "runtime" in options and "runtime" not in told:
        given.runtime_within = found[0].parent
    return given


def _add_negations(parser: argparse.ArgumentParser) -> None:
    """Let `--no-check` on the command line win over `check = true` in a file."""
    for action in list(parser._actions):
        option = next((option for option in action.option_strings if option.startswith("--")), "")
        if isinstance(action, argparse._StoreTrueAction) and action.dest not in _NOT_IN_A_FILE:
            no = f"--no-{option[2:]}"
            if no not in parser._option_string_actions:
                parser.add_argument(
                    no, dest=action.dest, action=_No, default=action.default, help=argparse.SUPPRESS
                )


class _No(argparse._StoreFalseAction):
    """The negation of an option that has none."""


def _told(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> set[str]:
    """Return the `dest`s that the command line itself gives, also where what it gives is the default."""
    defaults = [(action, action.default) for action in parser._actions]
    try:
        for action, _ in defaults:
            action.default = argparse.SUPPRESS
        return set(vars(parser.parse_args(argv)))
    finally:
        for action, default in defaults:
            action.default = default


def find(path: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Return the nearest pyproject.toml at or above a path that has our table, and the table; None if there is none.

    Raises:
        ConfigError: if the nearest file that mentions the table is not valid TOML.
    """
    start = path.absolute()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        try:
            text = read(file, _LARGEST).decode()
        except (OSError, UnicodeDecodeError):
            continue
        if TABLE not in text:
            continue
        try:
            table = tomllib.loads(text).get("tool", {}).get(TABLE)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{_shown(file)} is not valid TOML: {error}") from None
        if isinstance(table, Mapping):
            return file, table
    return None


def _shown(file: Path) -> str:
    here = Path.cwd()
    return visible_name(file.relative_to(here) if file.is_relative_to(here) else file)


def _options(parser: argparse.ArgumentParser, file: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return `dest` of an option -> its value, for what a table says."""
    where = f"{_shown(file)}: [tool.{TABLE}]"
    actions = {
        option[2:]: action
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and action.dest not in _NOT_IN_A_FILE and not isinstance(action, _No)
        and not option.startswith("--no-")
    }  # fmt: skip
    options: dict[str, Any] = {}
    for key, value in table.items():
        if key == "transports":
            options["transports"] = transports(value, where)
            continue
        if key == "settings":
            options["settings"] = settings(value, f"[tool.{TABLE}.settings] of {_shown(file)}")
            continue
        if key not in actions:
            raise ConfigError(
                f"{where} has no key {key!r}.{_suggestion(key, [*actions, 'settings', 'transports'])}"
            )
        if key == "report" and isinstance(value, str) and not value.lower().endswith((".html", ".htm")):
            raise ConfigError(f"{where} report takes the name of an .html file, not {value!r}")
        if key in ("report", "baseline") and isinstance(value, str):
            value = str(_within(file.parent, value, f"{where} {key}"))
        options[actions[key].dest] = _value(parser, actions[key], value, f"{where} {key}")
    return options


def _within(folder: Path, name: str, where: str) -> Path:
    """Return a file that is named in the configuration of a folder; refuse one elsewhere, also through a link.

    The file with the configuration may have come with the code that the tool is to look at.
    """
    path = folder / name
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise ConfigError(
            f"{where} is outside of the folder of this file: {name!r}; give it on the command line"
        )
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _suggestion(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _value(parser: argparse.ArgumentParser, action: argparse.Action, value: Any, where: str) -> Any:
    """Return a value as the option's own conversion gives it."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ConfigError(f"{where} takes true or false, not {value!r}")
        return value
    is_list = isinstance(action, argparse._AppendAction)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [_converted(action, item, where) for item in value] if is_list else _converted(action, ",".join(value), where)  # fmt: skip
    if isinstance(value, str) or (type(value) is int and not is_list):
        converted = _converted(action, str(value), where)
        return [converted] if is_list else converted
    kind = "a list of strings" if is_list else "a string"
    raise ConfigError(f"{where} takes {kind}, not {value!r}")


def _converted(action: argparse.Action, text: str, where: str) -> Any:
    if action.choices is not None and text not in action.choices:
        choices = [str(choice) for choice in action.choices]
        raise ConfigError(f"{where} takes {', '.join(choices)}, not {text!r}.{_suggestion(text, choices)}")
    if not callable(action.type):
        return text
    try:
        return action.type(text)
    except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
        raise ConfigError(f"{where} {error}") from None


def settings(table: Any, where: str) -> tuple[tuple[str, Any], ...]:
    """Return the defaults that a project gives its blocks: name and value. TOML has no None; it is written "none".

    Raises:
        ConfigError: for an unknown setting, or an invalid value.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} is a table, not {table!r}")
    found: list[tuple[str, Any]] = []
    for name, given in table.items():
        option = OPTIONS.get(name)
        if option is None:
            close = difflib.get_close_matches(name.replace("-", "_"), OPTIONS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(OPTIONS)}."
            raise ConfigError(f"{where} has no setting {name!r}.{hint}")
        value = None if given == "none" else given
        try:
            option.check(value)
            repr_is_code = value is None or isinstance(value, bool | int | float | str)
        except (TypeError, ValueError):
            repr_is_code = False
        if not repr_is_code:
            raise ConfigError(f"{where}: {name} must be {option.allowed}, not {given!r}")
        found.append((name, value))
    return tuple(found)


def transports(rows: Any, where: str) -> tuple[Library, ...]:
    """Return the user's own rows for the table of libraries.

    Raises:
        ConfigError: for a key that there is not, or a value of the wrong kind.
    """
    where = f"{where} transports"
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError(f"{where} is written as [[tool.{TABLE}.transports]]")
    return tuple(library for row in rows for library in _libraries(row, where))


def _libraries(row: Mapping[str, Any], where: str) -> list[Library]:
    for key in row:
        if key not in _ROW:
            raise ConfigError(f"{where} has no key {key!r}.{_suggestion(key, _ROW)}")
    functions = _names(row, "functions", where)
    clients = _names(row, "clients", where)
    for name in (*functions, *clients):
        if "." not in name or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"{where} takes dotted names such as 'shop.http.fetch', not {name!r}")
    if not functions and not clients:
        raise ConfigError(f"{where} has a row with neither functions nor clients")
    calls, retries = row.get("calls", BOTH), row.get("own-retries", NONE)
    if calls not in (SYNC, ASYNC, BOTH):
        raise ConfigError(f"{where} calls takes sync, async or both, not {calls!r}")
    if not isinstance(retries, str):
        raise ConfigError(f"{where} own-retries takes a sentence, not {retries!r}")
    methods = frozenset(_names(row, "methods", where))
    nested = row.get("nested", False)
    if not isinstance(nested, bool):
        raise ConfigError(f"{where} nested takes true or false, not {nested!r}")
    rows = [
        Library(_module(name), frozenset({name.rpartition(".")[2]}), (), calls, retries) for name in functions
    ]
    rows += [
        Library(_module(name), frozenset(), (Client((name,), methods, nested=nested),), calls, retries)
        for name in clients
    ]
    return rows


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _names(row: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = row.get(key, [])
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where} {key} takes a list of names, not {value!r}")
    return value
