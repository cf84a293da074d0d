"""What must hold for every file: adding twice is adding once, removing gives the file back, formatters do no harm (C1, C2, C3).

RETROFIT_EXAMPLES=5000 tries so many files instead of the usual few, and other ones each time.
"""

from __future__ import annotations

import os
import subprocess
import sys

import black
import isort
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from backend_retrofit.codemods.blocks.removal import strip
from backend_retrofit.codemods.source.fingerprints import fingerprint

from .check import planned
from .generated import layouts, sources

_MANY = int(os.environ.get("RETROFIT_EXAMPLES", "0"))


def examples(few: int) -> settings:
    """Return the settings for a test that tries `few` files unless the environment asks for more."""
    return settings(
        max_examples=_MANY or few,
        derandomize=not _MANY,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def compiles(data: bytes) -> bool:
    """Return True if Python takes a file."""
    try:
        compile(data, "client.py", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


@examples(40)
@given(st.data(), st.sampled_from([True, True, True, False]))
def test_adding_twice_is_adding_once_and_removing_gives_the_file_back(data, in_package):
    before = data.draw(layouts(data.draw(sources())))
    assume(compiles(before))
    result = planned(before, in_package)
    assert not result.problems
    event(f"changed: {result.changed}")
    if not result.changed:
        return
    assert compiles(result.after)
    again = planned(result.after, in_package)
    assert not again.problems
    assert again.after == result.after
    removed = planned(result.after, in_package, remove=True)
    assert not removed.problems
    assert removed.after == before
    assert strip(result.after) == before


def with_ruff(text: str, *arguments: str) -> str:
    """Return a text as ruff formats it."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        *arguments,
        "--isolated",
        "--quiet",
        "--stdin-filename",
        "client.py",
        "-",
    ]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60).stdout


FORMATTERS = {
    "black": lambda text: black.format_str(text, mode=black.Mode()),
    "black, short lines": lambda text: black.format_str(text, mode=black.Mode(line_length=40)),
    "black, quotes kept": lambda text: black.format_str(
        text, mode=black.Mode(string_normalization=False, magic_trailing_comma=False, preview=True)
    ),
    "isort": isort.code,
    "isort, one by one": lambda text: isort.code(text, force_single_line=True, line_length=40),
    "isort, then black": lambda text: black.format_str(isort.code(text, profile="black"), mode=black.Mode()),
    "ruff": lambda text: with_ruff(text, "format"),
    "ruff, tabs": lambda text: with_ruff(
        text,
        "format",
        "--config=format.indent-style='tab'",
        "--config=format.quote-style='single'",
        "--config=line-length=60",
    ),
    "ruff, imports": lambda text: with_ruff(text, "check", "--select=I", "--fix", "--exit-zero"),
}


@pytest.mark.parametrize("name", FORMATTERS)
@examples(8)
@given(text=sources())
def test_a_formatter_does_no_harm(name, text):
    assume(compiles(text.encode()))
    after = planned(text).after.decode()
    formatted = FORMATTERS[name](after)
    again = planned(formatted)
    assert not again.problems
    assert again.after.decode() == formatted
    removed = planned(formatted, remove=True)
    assert not removed.problems
    if fingerprint(removed.after.decode()) != fingerprint(text):
        assert fingerprint(removed.after.decode()) == fingerprint(FORMATTERS[name](text))
    assert b"retrofit" not in removed.after.replace(b"`retrofit:`", b"").replace(
        b"# >>> retrofit:queue v1", b""
    )
