"""A file that is written for a newer Python than the one that runs the tool: the message says which is needed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from backend_retrofit.codemods.model import Options
from backend_retrofit.codemods.planning.file import plan
from backend_retrofit.codemods.planning.newer_syntax import hint

NEWER = {
    "type Url = str": "3.12",
    "type Pair[T] = tuple[T, T]": "3.12",
    "class Client[T]: pass": "3.12",
    "def first[T](items: list[T]) -> T: pass": "3.12",
    "async def first[T](items: list[T]) -> T: pass": "3.12",
    "class Client[T = int]: pass": "3.13",
    'x = f"{d["key"]}"': "3.12",
    "x = f'{d['key']!r} of {n}'": "3.12",
    'x = f"a {", ".join(names)} b"': "3.12",
    'x = f"{chr(10).join(a + "\\n")}"': "3.12",
    "x = f'{a # why\n}'": "3.12",
    'x = f"{\na\n}"': "3.12",
    "try: pass\nexcept* OSError: pass": "3.11",
    "x = a[*b]": "3.11",
    "def f(*args: *Ts): pass": "3.11",
    'x = t"a {b}"': "3.14",
}
WRONG = [
    "def (",
    "class C:",
    'x = f"{a"',
    "x = 'f",
    "print 'x'",
    "type = = 1",
    "x = a[1",
    "except: pass",
    "*, = 1 2",
]


def python(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


@pytest.mark.parametrize("code", NEWER)
def test_C9_the_message_says_which_python_is_needed(code):
    data = f"import requests\n{code}\n".encode()
    problems = plan(data, Path("client.py"), Options()).problems
    if sys.version_info[:2] >= python(NEWER[code]):
        assert not problems
    else:
        assert f"run this tool with Python {NEWER[code]} or newer" in problems[0].reason


@pytest.mark.parametrize("code", NEWER)
def test_a_python_that_knows_the_syntax_is_not_told_of_it(code):
    for line in code.split("\n"):
        assert not hint(line, python(NEWER[code]))


@pytest.mark.parametrize("code", WRONG)
def test_what_is_wrong_in_every_python_is_just_wrong(code):
    with pytest.raises(SyntaxError):
        ast.parse(code)
    problem = plan(f"import requests\n{code}\n".encode(), Path("client.py"), Options()).problems[0]
    assert problem.reason.startswith("it does not parse")
    assert "run this tool with" not in problem.reason
