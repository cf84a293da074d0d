"""Marks and blocks after people and formatters have been at them: states, fingerprints, merging, what is no mark (C3)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import black
import isort
import pytest

from backend_retrofit.codemods.blocks import markers, templates
from backend_retrofit.codemods.blocks.find_markers import find_markers
from backend_retrofit.codemods.blocks.removal import strip
from backend_retrofit.codemods.command.main import main
from backend_retrofit.codemods.model import State
from backend_retrofit.codemods.source import fingerprints
from backend_retrofit.codemods.source.text import Source

from ..check import check_noop, check_refused, check_transformed, planned
from ..planning.test_file import CLIENT

DONE = planned(CLIENT).after.decode()
"""The client with its blocks."""
QUEUE = DONE.index("    # >>> retrofit:queue")
BACKOFF = DONE.index("    # >>> retrofit:backoff")


def line_of(text: str, part: str) -> int:
    """Return the number of the line on which a part begins."""
    return text[: text.index(part)].count("\n") + 1


def states(text: str, **options) -> dict[str, State]:
    """Return block -> the state in which it was found; of a block that stopped the run, `left` -> its state."""
    result = planned(text, **options)
    if result.problems:
        assert result.problems[0].line > 0
        return {"left": result.problems[0].state}
    return {b.block: b.state for cls in result.classes for b in cls.blocks if b.change != "skipped"}


# The states.


def test_clean():
    assert states(DONE) == {"queue": State.CLEAN, "backoff": State.CLEAN}


@pytest.mark.parametrize(
    "formatted",
    [
        black.format_str(DONE, mode=black.Mode(line_length=60)),
        DONE.replace("# run at once; the rest wait", "# some other remark"),
        DONE.replace("queue_size = RequestEngine.setting(100)", "queue_size = RequestEngine.setting( 100 )"),
        DONE.replace("queue_size = RequestEngine.setting(100)", "queue_size = (\n        RequestEngine.setting(100)\n    )"),
    ],
)  # fmt: skip
def test_reformatted(formatted):
    assert states(formatted)["queue"] is State.REFORMATTED
    result = check_noop(formatted)
    assert any(block.reason == "reformatted" for block in result.classes[0].blocks)
    assert strip(formatted.encode()).decode().strip() == CLIENT.strip()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("queue_size = ", "queue_length = "),
        ("setting(100)", "setting(1, 2)"),
        ("setting(100)", "other(100)"),
        ("    queue_size = RequestEngine.setting(100)  # may wait; one more is refused\n", ""),
        ("RequestEngine.views()", "RequestEngine.views()[:2]"),
        ("    # <<< retrofit:queue", "    mine = 1\n    # <<< retrofit:queue"),
    ],
)
def test_edited(old, new):
    edited = DONE.replace(old, new, 1)
    result = check_refused(edited, "edited by hand")
    assert result.problems[0].state is State.EDITED
    assert result.problems[0].line == line_of(edited, "# >>> retrofit:queue")
    for flag in ("--merge", "--overwrite-edited"):
        assert flag in result.problems[0].reason
    removal = check_refused(edited, "--overwrite-edited", remove=True)
    assert "--merge" not in removal.problems[0].reason
    assert planned(edited, remove=True, overwrite_edited=True).after == CLIENT.encode()
    assert planned(edited, overwrite_edited=True).after.decode() == DONE


def test_orphaned_behind_its_class():
    text = DONE[:QUEUE] + "\nx = 1\n\n" + DONE[QUEUE:]
    moved = text.replace("    # >>>", "if x:\n    # >>>", 1)
    assert states(moved) == {"left": State.ORPHANED}
    check_refused(moved, "a block is in the middle of other code")
    outside = DONE[:QUEUE] + "\n\nif True:\n    y = 1\n\n" + DONE[QUEUE:]
    assert states(outside) == {"left": State.ORPHANED}
    check_refused(outside, "is in no class")


def test_orphaned_because_its_class_has_nothing_else():
    alone = (
        "from ._request_engine import RequestEngine  # retrofit:import\n\n\nclass Client:\n" + DONE[QUEUE:]
    )
    assert states(alone) == {"left": State.ORPHANED}
    assert states(alone, remove=True) == {"left": State.ORPHANED}
    result = check_refused(alone, "class Client has nothing but its blocks; delete it, or write `pass`")
    assert result.problems[0].line == line_of(alone, "class Client")


def test_duplicated():
    twice = DONE[:BACKOFF] + DONE[QUEUE:BACKOFF] + DONE[BACKOFF:]
    assert states(twice) == {"left": State.DUPLICATED}
    result = check_refused(twice, f"the other in line {line_of(DONE, '# >>> retrofit:queue')}")
    first = result.problems[0].line
    assert first > line_of(DONE, "# >>> retrofit:queue")
    lines = twice.splitlines(keepends=True)
    last = next(n for n, line in enumerate(lines, 1) if n > first and "# <<< retrofit:queue" in line)
    assert f"such as lines {first} to {last}" in result.problems[0].reason
    check_noop("".join([*lines[: first - 1], *lines[last:]]))
    assert planned(twice, remove=True).after.decode() == CLIENT
    line = "from ._request_engine import RequestEngine  # retrofit:import\n"
    assert states(line + DONE) == {"left": State.DUPLICATED}


def test_newer_than_the_tool():
    newer = DONE.replace("retrofit:backoff v2", "retrofit:backoff v7")
    assert states(newer) == {"left": State.NEWER}
    check_refused(newer, "update the tool", remove=True)


@pytest.mark.parametrize(
    ("old", "new", "part", "advice"),
    [
        ("    # <<< retrofit:queue\n", "", "# >>> retrofit:queue", "put it back behind the block's last line"),
        ("    # >>> retrofit:queue", "    # >> retrofit:queue", "# <<< retrofit:queue", "delete this line and the block"),
        ("    # >>> retrofit:queue v2 ", "    # >>> retrofit:queue v2 xyz", "xyz", "fix or delete it"),
        ("    # <<< retrofit:queue", "    x = 1  # <<< retrofit:queue", "x = 1", "fix or delete it"),
        ("    # <<< retrofit:backoff", "", "# >>> retrofit:backoff", "`# <<< retrofit:backoff`, is missing"),
        ("    # >>> retrofit:queue", "    # >>> retrofit:oops", "# <<< retrofit:queue", "as oops; fix one of the two"),
    ],
)  # fmt: skip
def test_damaged(old, new, part, advice):
    text = DONE.replace(old, new, 1)
    result = check_refused(text, advice)
    assert result.problems[0].state is State.DAMAGED
    assert result.problems[0].line == line_of(text, part)


def test_a_block_that_no_one_knows():
    other = DONE.replace("retrofit:backoff", "retrofit:surprise")
    assert states(other) == {"left": State.DAMAGED}


def test_the_command_names_line_state_and_flag(tmp_path, capsys):
    path = tmp_path / "client.py"
    path.write_text(DONE.replace("views()", "views()[:2]"))
    assert main([str(path)]) == 3
    captured = capsys.readouterr()
    told = "".join((captured.out + captured.err).split())
    assert f"client.py:{line_of(DONE, '# >>> retrofit:queue')}" in told
    assert "--merge" in told
    assert main([str(path), "--format", "json", "-q"]) == 3
    assert '"state": "edited"' in capsys.readouterr().out


# What is no mark.


@pytest.mark.parametrize(
    "text",
    [
        '    text = """\n    # >>> retrofit:queue v1 0123456789\n    """\n',
        "    text = b'''\n# <<< retrofit:queue\n'''\n",
        "    text = f'''{1}\n# <<< retrofit:queue\n'''\n",
        "    text = '# >>> retrofit:queue v1 0123456789'\n",
        "    text = ('a' '# <<< retrofit:queue'\n            '# retrofit:import')\n",
        "    # The word retrofit:queue alone\n",
        "    x = 1  # retrofit:import\n",
    ],
)
def test_text_that_only_looks_like_a_mark(text):
    check_transformed(CLIENT + text)


def test_a_mark_between_joined_strings_is_one():
    text = CLIENT + "    text = ('a'\n    # >>> retrofit:queue v1 0123456789\n    'b')\n"
    check_refused(text, "missing")


def test_marks_with_other_line_ends_and_form_feeds():
    for end in ("\r\n", "\r"):
        assert states(DONE.replace("\n", end))["queue"] is State.CLEAN
        assert strip(DONE.replace("\n", end).encode()).decode() == CLIENT.replace("\n", end)
    check_transformed("\f\n" + CLIENT + "\f\n    x = 1\n")


# The import.


@pytest.mark.parametrize(
    "broken",
    [
        "from ._request_engine import (\n    RequestEngine,\n)  # retrofit:import",
        "from ._request_engine import (  # retrofit:import\n    RequestEngine,\n)",
        "from ._request_engine import (\n    RequestEngine,  # retrofit:import\n)",
        "from ._request_engine import RequestEngine # retrofit:import",
    ],
)
def test_an_import_that_a_formatter_broke_up(broken):
    text = DONE.replace("from ._request_engine import RequestEngine  # retrofit:import", broken)
    assert text != DONE
    check_noop(text)
    assert strip(text.encode()) == CLIENT.encode()


def test_an_import_that_was_moved():
    line = "from ._request_engine import RequestEngine  # retrofit:import\n"
    moved = line + DONE.replace(line, "")
    check_noop(moved)
    assert strip(moved.encode()).decode() == CLIENT


def test_an_import_that_imports_more_is_left_to_its_author():
    check_refused(DONE.replace("import RequestEngine  #", "import RequestEngine, other  #"), "imports more")


# Wraps that a formatter or a person has been at.


@pytest.mark.parametrize(
    ("wrapped", "bare"),
    [
        ("self._queued(\n            requests.get\n        )(url)", "requests.get(url)"),
        ("self._queued(\n            requests\n            .get\n        )(url)", "(requests\n            .get)(url)"),
        ("self._queued(requests.get,)(url)", "requests.get(url)"),
        ("self._queued(  # why\n            requests.get,\n        )(url)", "(  # why\n            requests.get\n        )(url)"),
        ("self._queued(requests.get, retry=False)(url)", "requests.get(url)"),
        ("self._queued(requests.get if url else requests.put)(url)", "(requests.get if url else requests.put)(url)"),
    ],
)  # fmt: skip
def test_taking_a_wrap_away(wrapped, bare):
    text = DONE.replace("self._queued(requests.get)(url)", wrapped)
    assert text != DONE
    removed = planned(text, remove=True)
    assert not removed.problems
    assert removed.after.decode() == CLIENT.replace("requests.get(url)", bare)


# Merging.


def with_closing() -> str:
    """Return the client with its blocks, to which a `close` was added since, so that the queue block changes."""
    return DONE.replace(
        "    # >>> retrofit:queue", "    def close(self):\n        pass\n\n    # >>> retrofit:queue", 1
    )


EDIT = ("views()", "views()  # mine\n    mine = 7")


def edited_by_hand(text: str) -> str:
    """Return a text with a block to which a line was added."""
    assert EDIT[0] in text
    return text.replace(*EDIT, 1)


def test_merge_keeps_the_edit_and_brings_the_rest_up_to_date():
    result = planned(edited_by_hand(with_closing()), merge=True)
    assert not result.problems
    text = result.after.decode()
    assert "    mine = 7\n" in text
    assert "__enter__, __exit__, close = RequestEngine.context(close)" in text
    assert "context()" not in text
    assert {b.change for c in result.classes for b in c.blocks if b.block == "queue"} == {"merged"}
    check_noop(text, merge=True)
    check_refused(text, "edited by hand")
    assert planned(text, remove=True, overwrite_edited=True).after.decode() == (
        CLIENT + "\n    def close(self):\n        pass\n"
    )


def test_merge_leaves_an_edit_where_nothing_else_changed():
    result = check_noop(edited_by_hand(DONE), merge=True)
    assert "edit made by hand" in result.classes[0].blocks[0].reason


def test_merge_still_wraps_new_calls():
    edited = edited_by_hand(DONE).replace(
        "        return self._queued(requests.get)(url)\n",
        "        return self._queued(requests.get)(url)\n\n    def put(self, url):\n        return requests.put(url)\n",
    )
    result = planned(edited, merge=True)
    assert not result.problems
    assert b"self._queued(requests.put)(url)" in result.after
    assert b"mine = 7" in result.after


def test_merge_in_a_file_with_tabs_and_crlf():
    edited = edited_by_hand(with_closing()).replace("    ", "\t").replace("\n", "\r\n")
    result = planned(edited, merge=True)
    assert not result.problems
    assert b"mine = 7" in result.after
    assert b"context(close)" in result.after
    assert result.after.count(b"\n") == result.after.count(b"\r\n")
    assert b"    " not in result.after.partition(b"# >>> retrofit:queue")[2].partition(b"# <<<")[0]


def test_merge_names_the_line_where_edit_and_new_form_meet():
    edited = with_closing().replace("context()", "context()[:3]")
    assert edited != with_closing()
    result = check_refused(edited, "change the same lines", merge=True)
    assert result.problems[0].state is State.EDITED
    first = line_of(edited, "# >>> retrofit:queue")
    assert first < result.problems[0].line < line_of(edited, "# <<< retrofit:queue")
    assert b"<<<<<<<" not in result.after


def test_merge_finds_what_a_block_was_made_with_in_the_block_itself():
    text = planned(CLIENT + "\n    def close(self):\n        pass\n").after.decode()
    edited = edited_by_hand(text).replace("    def close(self):\n        pass\n", "    other = 1\n")
    result = planned(edited, merge=True)
    assert not result.problems
    assert b"context()" in result.after
    assert b"mine = 7" in result.after


def test_merge_says_so_when_the_template_has_changed(monkeypatch):
    edited = edited_by_hand(DONE)
    original = templates.block

    def changed(name, *arguments, **values):
        block = original(name, *arguments, **values)
        return templates.Block(name, block.code.replace("setting(5)", "setting(6)"), block.values)

    monkeypatch.setattr(templates, "block", changed)
    check_refused(edited, "its template has changed since", merge=True)


# Fingerprints.

PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.1[0-9]*/bin/python"))


@pytest.mark.parametrize("python", [Path(sys.executable), *PYTHONS], ids=lambda path: path.parent.parent.name)
def test_every_python_gives_the_same_fingerprints(python):
    script = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('fingerprints', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "for path in sys.argv[2:]: print(module.fingerprint(open(path, encoding='utf-8').read()))"
    )
    paths = [*sorted((templates.TEMPLATES).glob("*.py")), *sorted(Path(markers.__file__).parent.glob("*.py"))]
    command = [python, "-c", script, fingerprints.__file__, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.split() == [
        fingerprints.fingerprint(path.read_text(encoding="utf-8")) for path in paths
    ]
    assert fingerprints.INVALID not in done.stdout.split()


CODE = '''\
def function(a, *, b=1):
    """A docstring.

    With lines.
    """
    import json
    import os
    from typing import Any, List

    text = "it's" + 'a "b"' + f"{a!r:>{b}} {{x}} {b}" + r"\\d" + "x" "y"
    if (a and b) or not a:
        return [n for n in (1, 2) if n], {"k": 0x10, **{}}, 1_000
    return lambda *c, **d: (yield)
'''


@pytest.mark.parametrize(
    "other",
    [
        black.format_str(CODE, mode=black.Mode(line_length=30)),
        black.format_str(CODE, mode=black.Mode(string_normalization=False)),
        isort.code(CODE, force_single_line=True),
        isort.code(CODE, force_sort_within_sections=True, reverse_sort=True),
        CODE.replace("    ", "\t"),
        CODE.replace("    ", "  "),
        "".join(f"      {line}\n" for line in CODE.splitlines()),
        CODE.replace("    With lines.", "        With lines.   ").replace("        With", "    With"),
        CODE.replace('"x" "y"', "'xy'"),
        CODE.replace("# comment", ""),
    ],
)
def test_a_fingerprint_outlives_formatters(other):
    assert fingerprints.fingerprint(other) == fingerprints.fingerprint(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("b=1", "b=2"),
        ("a, *, b", "a, b"),
        ("A docstring", "Another docstring"),
        ("    import os\n", ""),
        ("import json", "import json as j"),
        ("List", "Dict"),
        ("it's", "its"),
        ("or not a", "or a"),
        ("1_000", "1_001"),
        ('"x" "y"', '"x" " y"'),
        ("[n for", "{n for"),
    ],
)
def test_a_fingerprint_shows_an_edit(old, new):
    changed = CODE.replace(old, new).replace("if n]", "if n}") if new == "{n for" else CODE.replace(old, new)
    compile(changed, "x", "exec")
    assert fingerprints.fingerprint(changed) != fingerprints.fingerprint(CODE)


def test_the_fingerprint_of_what_is_no_python():
    assert fingerprints.fingerprint("def") == fingerprints.INVALID
    assert fingerprints.fingerprint("x = '\0'") == fingerprints.INVALID


# Their form.


def test_marks_are_found_with_what_they_carry():
    text = CLIENT + "\n    def other(self):\n        return self.max_retries\n"
    found = find_markers(Source.decode(planned(text).after))
    assert [region.block for region in found.regions] == ["queue", "backoff"]
    assert found.regions[1].values == {"max_retries": "retrofit_max_retries"}
    assert found.engine == "RequestEngine"
    assert not found.problems


@pytest.mark.parametrize(
    "values",
    [
        '{"max_retries":"a b"}',
        '{"max_retries":"class"}',
        '{"max_retries":1}',
        '{"defaults":1}',
        '{"defaults":{"max_retries":[]}}',
        '{"max_retries":["x"]}',
        '{"a":"x","b":"x"}',
        "{nonsense}",
        '{"a":' * 3000 + "1" + "}" * 3000,
        '{"a":"' + "x" * 20_000 + '"}',
        '{"max_retries":"x = 1; import os #"}',
    ],
)
def test_what_a_marker_line_carries_is_checked(values):
    mark = DONE[BACKOFF:].partition("\n")[0]
    check_refused(DONE.replace(mark, f"{mark} {values}"), "malformed")
