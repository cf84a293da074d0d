"""Patches are accepted by the real git, and give the planned file byte for byte (C1)."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_retrofit.codemods.model import FilePlan
from backend_retrofit.codemods.reporting.diff import (
    changed_lines,
    inner_changes,
    line_map,
    opcodes,
    rows,
    shown_path,
    unified_diff,
)


def apply_with_git(folder: Path, plan: FilePlan) -> bytes | None:
    """Return what `git apply` makes of the file; None if it deletes it."""
    target = folder / plan.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if plan.before:
        target.write_bytes(plan.before)
    command = ["git", "apply", "--whitespace=nowarn", "-"]
    done = subprocess.run(command, cwd=folder, input=unified_diff(plan), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode() + unified_diff(plan).decode(errors="replace")
    return target.read_bytes() if target.exists() else None


LONG = b"".join(b"line %d\n" % number for number in range(60))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\nb\n", b"a\nc\nb\n"),
        (b"a\r\nb\r\n", b"a\r\nc\r\nb\r\n"),
        (b"a\nb\r\nc\n", b"a\nb\nc\r\n"),
        (b"a\nb", b"a\nb\nc"),
        (b"a\nb", b"a\nb\n"),
        (b"a\nb\n", b"a\nb"),
        (b"a", b"b"),
        (b"", b"new\nfile\n"),
        (b"", b"new file without an end"),
        (b"gone\n", b""),
        (b"\xef\xbb\xbfa = 1\n", b"\xef\xbb\xbfa = 2\n"),
        (b"a = '\xe9'\nb\n", b"a = '\xe9'\nc\n"),
        (b"a\x0cb\rc\n", b"a\x0cb\rd\n"),
        (LONG, LONG.replace(b"line 5\n", b"x\n").replace(b"line 50\n", b"y\nz\n")),
        (LONG, b"first\n" + LONG + b"last\n"),
        (LONG, LONG.replace(b"line 10\n", b"x\n").replace(b"line 17\n", b"y\n")),
    ],
)
def test_git_accepts_the_patch(tmp_path, before, after):
    plan = FilePlan(Path("client.py"), before, after)
    assert (apply_with_git(tmp_path, plan) or b"") == after


@pytest.mark.parametrize(
    "name",
    [
        "a b.py",
        "src/deep/client.py",
        'a"b.py',
        "tab\there.py",
        "back\\slash.py",
        "grün.py",
        "ends in space /x.py",
    ],
)
def test_git_accepts_the_name(tmp_path, name):
    plan = FilePlan(Path(name), b"a\n", b"b\n")
    assert apply_with_git(tmp_path, plan) == b"b\n"


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(st.sampled_from("abc"), max_size=30), after=st.lists(st.sampled_from("abc"), max_size=30)
)
def test_opcodes_turn_the_old_lines_into_the_new(before, after):
    codes = opcodes(before, after)
    made = [line for tag, a, b, c, d in codes for line in (before[a:b] if tag == "equal" else after[c:d])]
    assert made == after
    assert [i for _, a, b, _, _ in codes for i in range(a, b)] == list(range(len(before)))
    assert all(first[0] != "equal" or second[0] != "equal" for first, second in itertools.pairwise(codes))


def test_rows_pair_replaced_lines_and_leave_a_side_empty_where_lines_come():
    found = [(row.old, row.new, row.changed) for row in rows(["a", "b", "c"], ["a", "x", "c", "d", "e"])]
    assert found == [(1, 1, False), (2, 2, True), (3, 3, False), (0, 4, True), (0, 5, True)]


def test_the_line_map_gives_the_new_number_of_each_old_line():
    assert line_map(b"a\nb\nc\n", b"new\na\nB\nc\n") == {1: 2, 2: 3, 3: 4, 4: 5}
    assert line_map(b"a\r\nb", b"b") == {2: 1}


def test_changed_lines_are_those_that_go_or_become_others():
    assert changed_lines(FilePlan(Path("x.py"), b"a\nb\nc\n", b"new\na\nB\nc\n")) == {2}


def test_inner_changes_find_what_was_put_around_a_call():
    old, new = "    return requests.get(url)", "    return self._queued(requests.get)(url)"
    gone, come = inner_changes(old, new)
    assert gone == []
    assert "".join(new[start:stop] for start, stop in come) == "self._queued()"


def test_lines_that_have_little_in_common_have_no_inner_changes():
    assert inner_changes("class A:", "    @property") == ([], [])


def test_a_path_below_the_working_directory_is_shown_relative_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "a" / "b.py") == "a/b.py"
    assert shown_path(Path("a/b.py")) == "a/b.py"
    assert shown_path(tmp_path.parent / "b.py") == (tmp_path.parent / "b.py").as_posix()
