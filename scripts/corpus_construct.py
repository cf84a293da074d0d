"""Constructs classes of a project for `corpus_projects`, which compares what comes of it before and after the retrofit.

Reads [path, class] pairs from standard input and prints, for each, what came of it: "made" and the instance's own
attributes, or the exception. Needs nothing but the standard library, as it runs in the project's environment.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import re
import sys
import threading
from pathlib import Path
from typing import Any

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_OF_THE_BLOCKS = re.compile(r"\bretrofit|RequestEngine|_request_engine")


def outcome(folder: Path, path: str, name: str) -> str:
    """Return what comes of constructing a class."""
    try:
        cls = _class(folder, path, name)
    except BaseException as error:
        return f"import: {type(error).__name__}"
    try:
        made = cls(**_arguments(cls))
    except BaseException as error:
        return f"{type(error).__name__}: {_ADDRESS.sub('', str(error))[:200]}"
    own = sorted(key for key in getattr(made, "__dict__", {}) if not _OF_THE_BLOCKS.search(key))
    return f"made {', '.join(own)}"


def _class(folder: Path, path: str, name: str) -> Any:
    file = folder / path
    parts = [file.stem] if file.name != "__init__.py" else []
    above = file.parent
    while (above / "__init__.py").exists():
        parts.insert(0, above.name)
        above = above.parent
    sys.path.insert(0, str(above))
    module = importlib.import_module(".".join(parts))
    if Path(str(module.__file__)).resolve() != file.resolve():
        raise ImportError(f"{module.__file__} is not {file}")
    return _find(module, name)


def _find(owner: Any, name: str) -> Any:
    if hasattr(owner, name):
        return getattr(owner, name)
    inner = (
        value
        for value in vars(owner).values()
        if inspect.isclass(value) and value.__module__ == owner.__name__
    )
    return next(getattr(value, name) for value in inner if hasattr(value, name))


def _arguments(cls: Any) -> dict[str, Any]:
    """Return something for each parameter that has to be given: by its annotation, else a text."""
    given: dict[str, Any] = {}
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        ):
            kind = getattr(parameter.annotation, "__name__", str(parameter.annotation))
            given[parameter.name] = {"int": 1, "float": 1.0, "bool": True, "dict": {}, "list": []}.get(
                kind, "text"
            )
    return given


def main() -> None:
    folder = Path(sys.argv[1])
    results: list[str] = []
    for path, name in json.load(sys.stdin):
        found: list[str] = []
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            worker = threading.Thread(
                target=lambda p=path, n=name, f=found: f.append(outcome(folder, p, n)), daemon=True
            )
            worker.start()
            worker.join(60)
        results.append(found[0] if found else "takes over a minute")
    print("\n" + json.dumps(results), flush=True)
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
