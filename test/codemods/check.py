"""The helpers that every codemod test goes through; they assert what holds for each transformed source."""

from __future__ import annotations

import ast
import codecs
import functools
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import black

from backend_retrofit.codemods.blocks.removal import strip
from backend_retrofit.codemods.model import BESIDE, FilePlan, Options, Place
from backend_retrofit.codemods.planning.file import plan

PATH = Path("client.py")


def planned(source: str | bytes, in_package: bool = True, **options: Any) -> FilePlan:
    """Plan a source; in a package, so that the runtime stays out of it."""
    data = source.encode() if isinstance(source, str) else source
    if not in_package:
        options = {"runtime": "inline", **options}
    return plan(data, PATH, Options(**options), BESIDE if in_package else Place())


def check_noop(source: str | bytes, **options: Any) -> FilePlan:
    """Assert that nothing is changed, and that nothing went wrong."""
    result = planned(source, **options)
    assert not result.changed
    assert not result.problems
    return result


def check_refused(source: str | bytes, reason: str, **options: Any) -> FilePlan:
    """Assert that the file is left alone, for this reason."""
    result = planned(source, **options)
    assert not result.changed
    assert reason in result.problems[0].reason
    return result


def check_transformed(source: str, *wanted: str, inline: bool = False, **options: Any) -> FilePlan:
    """Assert that the result has all the `wanted` texts, and that it can be rerun, formatted and taken out again.

    The same holds for a file from Windows: see `_variants`.

    Args:
        inline: the same must hold with the runtime in the file itself, which takes its time.
    """
    result = _check_one(source.encode(), True, **options)
    text = result.after.decode()
    for part in wanted:
        assert part in text, text
    for variant in _variants(source):
        _check_one(variant, True, **options)
    if inline:
        _check_one(source.encode(), False, **options)
    _check_formatted(source, result, **options)
    return result


def _variants(source: str) -> list[bytes]:
    """Return the source with CRLF, tabs, a byte order mark and no last line end: all at once, and with one of them.

    Which one depends on the source, so that each has its part of all sources.
    """
    ways: list[Callable[[bytes], bytes]] = [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"    ", b"\t"),
        lambda data: data.rstrip(b"\r\n"),
    ]
    if "coding:" not in source:  # Python refuses another encoding behind a byte order mark
        ways.append(lambda data: codecs.BOM_UTF8 + data)
    data = source.encode()
    one = ways[zlib.crc32(data) % len(ways)]
    return [one(data), functools.reduce(lambda done, way: way(done), ways, data)]


def check_sites(source: str, *wanted: str, **options: Any) -> FilePlan:
    """Assert that the file's call sites, in their order, are these: `wrapped self.session.get`.

    What is changed can be rerun and taken out again.
    """
    result = planned(source, **options)
    if result.changed:
        result = _check_one(source.encode(), True, **options)
    else:
        check_noop(source, **options)
    assert [f"{site.decision.value} {site.callee}" for site in result.sites] == list(wanted)
    return result


def client(*methods: str, imports: str = "import requests", head: str = "class Client:") -> str:
    """Return a file with one class with these methods; each is its head and its body, indented by four."""
    bodies = "\n\n".join(textwrap.indent(textwrap.dedent(method).strip("\n"), "    ") for method in methods)
    return f"{imports}\n\n\n{head}\n{bodies}\n"


def method(body: str, imports: str = "import requests", head: str = "def call(self, url):") -> str:
    """Return a file with one class with one method."""
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return client(f"{head}\n{lines}", imports=imports)


def _check_one(data: bytes, in_package: bool, **options: Any) -> FilePlan:
    result = planned(data, in_package, **options)
    assert not result.problems
    assert result.changed
    compile(result.after, "client.py", "exec")
    again = planned(result.after, in_package, **options)
    assert not again.problems
    assert again.after == result.after
    assert [site.decision for site in again.sites] == [site.decision for site in result.sites]
    assert planned(result.after, in_package, remove=True).after == data
    assert strip(result.after) == data
    return result


def _check_formatted(source: str, result: FilePlan, **options: Any) -> None:
    formatted = black.format_str(result.after.decode(), mode=black.Mode())
    again = planned(formatted, **options)
    assert not again.problems
    assert not again.changed, "a run after black changes something"
    removed = planned(formatted, remove=True).after.decode()
    assert ast.dump(ast.parse(removed)) == ast.dump(ast.parse(black.format_str(source, mode=black.Mode())))
