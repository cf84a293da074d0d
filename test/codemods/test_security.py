"""Hostile files: no code of theirs is run, nothing of theirs reaches a template unchecked, and none takes for ever (C9)."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods.command.main import main

from .check import planned
from .planning.test_file import CLIENT

SECONDS = 60
"""Each of these takes about a second on an idle machine; what is quadratic or worse takes minutes or never ends."""


def test_code_of_the_file_is_never_run(tmp_path):
    marker = tmp_path / "was-run"
    source = f"open({str(marker)!r}, 'w').close()\n{CLIENT}"
    for name in ("__init__.py", "client.py", "conftest.py", "setup.py", "requests.py", "_request_engine_.py"):
        (tmp_path / name).write_text(source)
    for arguments in ([], ["--check"], ["--remove"], ["--diff"]):
        assert main([str(tmp_path), "-q", *arguments]) in (0, 1)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["{{ 7*7 }}", "{% raw %}", '"; import os #', "'''", "\\", "\n"], ids=range(6)
)
def test_text_that_would_break_a_template_stays_text(name):
    source = CLIENT.replace(
        "class Client:\n",
        f"class Client:\n    note = {name!r}\n\n    def __init__(self, api_key={name!r}):\n        self.api_key = api_key\n\n",
    )
    result = planned(source)
    assert not result.problems
    assert planned(result.after, remove=True).after == source.encode()


HOSTILE = {
    "a null byte": CLIENT + "\0",
    "nested brackets": CLIENT + "x = " + "[" * 5000 + "]" * 5000 + "\n",
    "a long sum": CLIENT + "x = " + "+".join(["a"] * 50_000) + "\n",
    "a long sum that parses": CLIENT + "x = " + "+".join(["a"] * 900) + "\n",
    "many signs": CLIENT + "x = " + "-" * 100_000 + "1\n",
    "a chain of calls": CLIENT + "x = a" + ".b()" * 900 + "\n",
    "joined strings": CLIENT + "x = (" + "'a'\n" * 10_000 + ")\n",
    "a long string": CLIENT + f"x = {'a' * 3_000_000!r}\n",
    "a name bound again and again": (
        "import requests\nclass C:\n    def m(self, x):\n"
        + "        x = x.a(x)\n" * 2000
        + "        return x.get(1)\n"
    ),
    "names that double": (
        "import requests\na0 = requests\n"
        + "".join(f"a{i} = a{i - 1} or a{i - 1}\n" for i in range(1, 60))
        + "class C:\n    def m(self):\n        return a59.get('x')\n"
    ),
    "names that all lead to each other": (
        "import requests\n"
        + "".join(f"v{i} = {' or '.join(f'v{j}' for j in range(40))}\n" for i in range(40))
        + "class C:\n    def m(self):\n"
        + "        v1.get(1)\n" * 500
    ),
    "marks in a string": CLIENT + "x = '''\n" + "# >>> retrofit:queue v1 0123456789\n" * 5000 + "'''\n",
    "marks without partners": CLIENT + "# >>> retrofit:queue v1 0123456789\n" * 5000,
    "many imports of the runtime": "from a import b  # retrofit:import\n" * 5000 + CLIENT,
    "a ladder of classes": "import requests\n"
    + "".join(
        f"class C{i}(C{i - 1}):\n    def m(self):\n        return requests.get('x')\n" for i in range(120)
    ),
    "many calls on one line": CLIENT
    + "    def n(self):\n        return ["
    + "requests.get('\u00e9'), " * 400
    + "]\n",
    "many methods": "import requests\nclass C:\n"
    + "".join(f"    def m{i}(self):\n        return requests.get('x')\n" for i in range(1000)),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.timeout(SECONDS)
def test_a_hostile_file_costs_a_bounded_time_and_can_be_undone(name):
    data = HOSTILE[name].encode()
    result = planned(data)
    for problem in result.problems:
        assert problem.reason
        assert "please report" not in problem.reason
    if result.changed:
        removed = planned(result.after, remove=True)
        assert not removed.problems
        assert removed.after == data
