"""Constructs classes of a project for `corpus_projects`, which compares what comes of it before and after the retrofit.

Is given the project's folder, and that of the project as it was. Reads [path, class] pairs from standard input and prints, for each, what came of it in each of a few ways: the instance's
own attributes, or the exception with its text. Every way is the same before and after: what has to be given is filled in
from annotations, defaults and names; then all parameters are; then the variables that the file reads are set as well,
and an event loop is running.
Abstract methods are filled in, as a user's subclass would. Nothing but this machine can be reached. Needs nothing but
the standard library, as it runs in the project's environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import importlib
import inspect
import io
import json
import os
import re
import sys
import tempfile
import threading
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS_A_CLASS = 90
_DEEPEST = 3
_ADDRESS = re.compile(r"\b0x[0-9a-f]+|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_OF_THE_BLOCKS = re.compile(r"\bretrofit|_retrofit|RequestEngine|_request_engine")
_VARIABLE = re.compile(r"""(?:environ(?:\.get)?|getenv|env)\s*[\[(]\s*["']([A-Z][A-Z0-9_]+)["']""")
_BY_NAME = (
    (re.compile(r"url|uri|endpoint|host|server|domain", re.IGNORECASE), "http://127.0.0.1:9"),
    (re.compile(r"region", re.IGNORECASE), "us-east-1"),
    (
        re.compile(r"path|file|dir(?:ectory)?$|folder", re.IGNORECASE),
        os.path.join(tempfile.gettempdir(), "x"),
    ),
    (re.compile(r"timeout|retries|port|count|size|limit|number|_id$", re.IGNORECASE), 1),
)
_PLAIN: dict[Any, Any] = {
    int: 1,
    float: 1.0,
    bool: True,
    dict: {},
    list: [],
    tuple: (),
    set: set(),
    bytes: b"x",
}


def only_this_machine(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to ask for names, or to connect, elsewhere: an audit hook."""
    host = None
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    if host not in (None, "127.0.0.1", "localhost", "::1", b"127.0.0.1", b"localhost"):
        raise OSError(f"{event}: there is no network here")


def outcome(folder: Path, plain: Path, path: str, name: str) -> list[str]:
    """Return what comes of constructing a class, in each of the ways."""
    try:
        module = _module(folder, path)
        cls = _find(module, name)
    except BaseException as error:
        return [f"import: {type(error).__name__}: {_plain(error)}"]
    if inspect.isabstract(cls):
        missing = dict.fromkeys(cls.__abstractmethods__, lambda *_, **__: None)
        cls = types.new_class(cls.__name__, (cls,), exec_body=lambda space: space.update(missing))
    ways = [_made(cls, False), _made(cls, True)]
    variables = _VARIABLE.findall((plain / path).read_text("utf-8", "replace"))
    before = dict(os.environ)
    os.environ.update({variable: _text(variable) for variable in (*variables, "AWS_DEFAULT_REGION")})
    try:
        return [*ways, asyncio.run(_made_in_a_loop(cls))]
    finally:
        os.environ.clear()
        os.environ.update(before)


def _made(cls: Any, all_of_them: bool) -> str:
    try:
        with _without_waits():
            made = cls(**dict(_arguments(cls, all_of_them, 0)))
    except BaseException as error:
        return f"{type(error).__name__}: {_plain(error)}"
    own = getattr(made, "__dict__", {})
    shown = (f"{key}={_value(own[key])}" for key in sorted(own) if not _OF_THE_BLOCKS.search(key))
    return f"made {', '.join(shown)}"


async def _made_in_a_loop(cls: Any) -> str:
    return _made(cls, False)


def _without_waits() -> contextlib.AbstractContextManager[None]:
    """Let the runtime wait for nothing: a constructor that makes requests, which fail here, would take half a minute."""
    runtimes = [module for name, module in sys.modules.items() if name.endswith("_request_engine")]
    return runtimes[0].RequestEngine.testing(waits=False) if runtimes else contextlib.nullcontext()


def _value(value: object) -> str:
    """Return a value as it is, if it is plain, else its type."""
    return repr(value)[:80] if isinstance(value, str | int | float | bool | None) else type(value).__name__


def _plain(error: BaseException) -> str:
    return _ADDRESS.sub("", str(error))[:300]


def _module(folder: Path, path: str) -> Any:
    file = folder / path
    parts = [file.stem] if file.name != "__init__.py" else []
    above = file.parent
    while (above / "__init__.py").exists():
        parts.insert(0, above.name)
        above = above.parent
    sys.path[:0] = [str(above), *([str(folder / "src")] if (folder / "src").is_dir() else []), str(folder)]
    module = importlib.import_module(".".join(parts))
    if Path(str(module.__file__)).resolve() != file.resolve():
        raise ImportError(f"it is {Path(str(module.__file__)).name} of another place")
    return module


def _find(owner: Any, name: str) -> Any:
    for part in name.split("."):
        if hasattr(owner, part):
            owner = getattr(owner, part)
            continue
        inner = (value for value in vars(owner).values() if inspect.isclass(value) and hasattr(value, part))
        owner = getattr(next(inner), part)
    return owner


def _arguments(cls: Any, all_of_them: bool, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield something for each parameter that has to be given, or for all."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return
    hints = _hints(cls)
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            continue
        if parameter.default is parameter.empty:
            kind = hints.get(parameter.name, parameter.annotation)
            yield parameter.name, _filler(kind, parameter.name, depth)
        elif all_of_them and (parameter.default is None or isinstance(parameter.default, str)):
            kind = hints.get(parameter.name, parameter.annotation)
            if kind is parameter.empty or str in (kind, *typing.get_args(kind)):
                yield parameter.name, parameter.default or _text(parameter.name)


def _hints(cls: Any) -> dict[str, Any]:
    for holder in (cls.__init__, cls):
        with contextlib.suppress(Exception):
            if hints := typing.get_type_hints(holder):
                return hints
    return {}


def _text(name: str) -> Any:
    return next(
        (value for pattern, value in _BY_NAME if isinstance(value, str) and pattern.search(name)), "x"
    )


def _filler(kind: Any, name: str, depth: int) -> Any:
    """Return a value of a type, as well as one can tell from the outside."""
    origin = typing.get_origin(kind) or kind
    if origin in (typing.Union, types.UnionType):
        return _filler(next(one for one in typing.get_args(kind) if one is not type(None)), name, depth)
    if origin is typing.Annotated or origin is typing.Literal:
        first = typing.get_args(kind)[0]
        return first if origin is typing.Literal else _filler(first, name, depth)
    if kind is inspect.Parameter.empty or kind is Any or isinstance(kind, str):
        return next((value for pattern, value in _BY_NAME if pattern.search(name)), "x")
    if kind is str:
        return _text(name)
    if origin in _PLAIN:
        return _PLAIN[origin]
    if not inspect.isclass(origin) or depth == _DEEPEST:
        return (lambda *_, **__: None) if "Callable" in str(origin) else "x"
    if issubclass(origin, enum.Enum):
        return next(iter(origin))
    if issubclass(origin, os.PathLike):
        return Path(tempfile.gettempdir(), "x")
    try:
        return origin(**dict(_arguments(origin, False, depth + 1)))
    except Exception:
        return "x"


def main() -> None:
    folder, plain = Path(sys.argv[1]), Path(sys.argv[2])
    sys.addaudithook(only_this_machine)
    results: list[list[str]] = []
    for path, name in json.load(sys.stdin):
        found: list[list[str]] = []
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            worker = threading.Thread(
                target=lambda p=path, n=name, f=found: f.append(outcome(folder, plain, p, n)), daemon=True
            )
            worker.start()
            worker.join(SECONDS_A_CLASS)
        given = found[0] if found else [f"takes over {SECONDS_A_CLASS} seconds"]
        results.append([text.replace(str(folder), "") for text in given])
    print("\n" + json.dumps(results), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
