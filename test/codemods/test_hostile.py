"""Hostile files through the command line: a message that says what is wrong, the exit status, and the bytes as they were (C9)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from backend_retrofit.codemods.command.main import main

from .check import planned
from .planning.test_file import CLIENT

pytestmark = pytest.mark.timeout(60)

TraceFunction = Callable[[FrameType, str, Any], Any]

LEFT_ALONE = {
    "a null byte": (CLIENT + "\0", ("null bytes", "source code string cannot contain")),
    "a byte order mark in the middle": (
        CLIENT + "\ufeffx = 1\n",
        ("invalid non-printable character U+FEFF",),
    ),
    "nested parentheses": (
        CLIENT + "x = " + "(" * 5000 + ")" * 5000 + "\n",
        ("too many nested parentheses",),
    ),
    "nested indentation": (
        CLIENT + "".join(" " * i + "if x:\n" for i in range(300)) + " " * 300 + "pass\n",
        ("too many levels of indentation", "nested too deeply"),
    ),
    "nested signs": (CLIENT + "x = " + "-" * 50_000 + "1\n", ("nested too deeply", "does not parse")),
    "nested lambdas": (
        CLIENT + "x = " + "lambda: " * 20_000 + "1\n",
        ("nested too deeply", "does not parse"),
    ),
    "a chain of conditions": (
        CLIENT + "if a: pass\n" + "elif a: pass\n" * 20_000,
        ("nested too deeply", "does not parse"),
    ),
    "a larger file": (CLIENT + "x = [" + "1, " * 400_000 + "]\n", ("more than --max-size (1,000,000)",)),
    "marker lines without partners": (
        CLIENT + "# >>> retrofit:queue v1 0123456789\n" * 25_000,
        ("more of its marker lines are damaged",),
    ),
    "more classes than can be taken out again": (
        "import requests\n"
        + "".join(f"class C{i}:\n    def m(self):\n        return requests.get('x')\n" for i in range(1000)),
        ("it would have",),
    ),
    "patterns that LibCST takes for ever for": (
        CLIENT + "match a:\n    case " + "{1: " * 40 + "b" + "}" * 40 + ": pass\n",
        ("would take too long",),
    ),
    "targets that LibCST takes for ever for": (
        CLIENT + "del " + "(" * 40 + "a" + ", b)" * 40 + "\n",
        ("would take too long",),
    ),
    "an unknown encoding": ("# -*- coding: no-such-code -*-\n" + CLIENT, ("unknown encoding",)),
    "an encoding that it is not in": (
        b"# -*- coding: ascii -*-\n" + CLIENT.encode() + "# caf\u00e9\n".encode(),
        ("encoding", "ascii"),
    ),
}


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command on a file of this content; return the exit status, what was said, and what is in the file then."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "client.py"

    def run(content: str | bytes, *arguments: str) -> tuple[int, str, bytes]:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        status = main(["client.py", *arguments])
        said = capfd.readouterr()
        return status, said.out + said.err, file.read_bytes()

    return run


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_it_is_named_with_the_reason_and_left_as_it_is(run, name):
    content, reasons = LEFT_ALONE[name]
    data = content.encode() if isinstance(content, str) else content
    options = ["--max-size", "1000000"] if name != "more classes than can be taken out again" else []
    status, said, after = run(data, *options)
    assert status == 3
    assert any(reason in said for reason in reasons), said[:2000]
    assert "please report" not in said
    assert "error: client.py" in said
    assert len(said) < 20_000
    assert after == data


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python reads long f-strings fast since 3.12")
def test_an_f_string_that_python_takes_minutes_for_is_left_alone(run):
    status, said, _ = run(CLIENT + "x = f'" + "{a}" * 40_000 + "'\n", "--check")
    assert status == 3
    assert "f-string" in said


def test_a_large_file_without_calls_costs_nothing_and_is_no_problem(run):
    status, _, _ = run("x = [" + "1, " * 2_000_000 + "]\n", "--check")
    assert status == 0


@pytest.mark.parametrize(
    "text",
    [
        'NOTE = """\nimport requests\nsession.get(url)\n"""\n',
        "# import requests, and client.post(url)\n",
        'DATA = ["import httpx", "from openai import OpenAI", b"self.session.post(x)"]\n',
    ],
    ids=["a text", "a comment", "data"],
)
def test_C9_a_large_file_that_only_speaks_of_requests_is_no_problem(run, text):
    status, said, after = run(data := text + "x = '" + "1" * 2_000_000 + "'\n")
    assert status == 0, said
    assert after.decode() == data


@pytest.mark.parametrize(
    "text",
    [
        "import requests\n",
        "import httpx, json as j\nfrom requests.exceptions import (\n    ConnectionError,\n    Timeout as Late,\n)\nj.loads('1')\n",
        "from openai import OpenAI  # for those who import this\nd = {}\nd.get('x')\n",
    ],
)
def test_C9_a_large_file_that_imports_a_library_and_makes_no_call_is_no_problem(run, text):
    status, said, after = run(data := text + "x = '" + "1" * 2_000_000 + "'\n")
    assert status == 0, said
    assert after.decode() == data


USES = [
    CLIENT,
    "import requests as r\nx = lambda u: r.get(u)\n",
    "from requests import get, post as p\nx = p\n",
    "from requests import *\nget('x')\n",
    "x = lambda session: session.get('x')\n",
    "x = lambda make: make.chat.completions.create(model='x')\n",
]


@pytest.mark.parametrize("code", USES)
def test_a_large_file_that_may_have_a_request_is_named(run, code):
    status, said, _ = run(code + "x = '" + "1" * 2_000_000 + "'\n", "--check")
    assert status == 3
    assert "--max-size" in said


def test_what_is_too_large_is_a_matter_of_an_option(run):
    assert run(CLIENT, "--check", "--max-size", "10")[0] == 3
    assert run(CLIENT, "--check", "--max-size", "10000000")[0] == 1
    assert run(CLIENT, "--check", "--max-size", "none")[0] == 2


DONE = {
    "marker lines in a string": CLIENT + "x = '''\n" + "# >>> retrofit:queue v1 0123456789\n" * 20_000 + "'''\n",
    "many words import": CLIENT + "# " + "import " * 100_000 + "\n",
    "a class with a long name": CLIENT.replace("Client", "C" * 10_000),
    "text for a template": CLIENT.replace("class Client", "NOTE = '{{ 7*7 }}{% raw %} # <<< retrofit:queue'\n\n\nclass Client"),
    "many calls in one loop": (
        "import requests\nclass C:\n    def m(self):\n        for attempt in range(3):\n"
        + "            requests.get('x')\n" * 1500
    ),
    "many loops": "import requests\nclass C:\n    def m(self):\n"
    + "        for attempt in range(3):\n            requests.get('x')\n" * 800,
    "methods that all call each other": "import requests\nclass C:\n    def f0(self):\n"
    + "        requests.get('x')\n" * 10
    + "".join(
        f"    def f{i}_{j}(self):\n" + "".join(f"        self.f{i - 1}_{k}()\n" for k in range(20))
        for i in range(2, 6)
        for j in range(20)
    )
    + "".join(f"    def f1_{j}(self):\n        self.f0()\n" for j in range(20)),
    "imports on one line": "import requests; " + "import a; " * 5000 + "\n" + CLIENT,
}  # fmt: skip


@pytest.mark.parametrize("name", DONE)
def test_it_is_done_and_undone(run, name):
    data = DONE[name].encode()
    status, said, after = run(data, "--runtime", "shared", "-q")
    assert status == 0, said
    assert after != data
    assert run(after, "--remove", "-q")[2] == data


GROWS = {
    "classes": ("", "class C{0}:\n    def m(self):\n        return requests.get('x')\n"),
    "calls of one method": ("class C:\n    def m(self):\n", "        requests.get('x')\n"),
    "attempts in one method": (
        "class C:\n    def m(self):\n",
        "        try:\n            requests.get('x')\n        except OSError:\n            return None\n",
    ),
}


@pytest.mark.parametrize("what", GROWS)
def test_the_work_grows_with_the_file_and_not_with_its_square(what):
    """Counted in lines of Python that are run, which is the same on a busy machine."""

    head, part = GROWS[what]

    def lines_run(parts: int) -> int:
        source = f"import requests\n{head}" + "".join(part.format(number) for number in range(parts))
        count = 0

        def trace(frame: FrameType, event: str, argument: object) -> TraceFunction:
            nonlocal count
            count += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            problems = planned(source, largest=100_000_000).problems
        finally:
            sys.settrace(before)
        assert not problems
        return count

    lines_run(3)
    assert lines_run(160) < 9 * lines_run(20)  # 8 times as many classes; 64 if it were quadratic
