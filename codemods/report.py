"""Tells what a run found and did: as text for the terminal, as a diff, and as JSON."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from .model import Decision, FilePlan, Run

_STYLES = {Decision.WRAPPED: "green", Decision.QUEUED_ONLY: "yellow", Decision.SKIPPED: "dim"}
_LINES = re.compile(b"[^\n]*\n|[^\n]+")


def unified_diff(plan: FilePlan) -> bytes:
    """Return a patch that `git apply` accepts, byte for byte: line ends and a missing last one included."""
    name = _posix(plan.path)
    before, after = _LINES.findall(plan.before), _LINES.findall(plan.after)
    old = b"a/" + name if plan.before else b"/dev/null"
    new = b"b/" + name if plan.after else b"/dev/null"
    out = [b"diff --git a/%s b/%s\n" % (name, name)]
    if not plan.before:
        out.append(b"new file mode 100644\n")
    if not plan.after:
        out.append(b"deleted file mode 100644\n")
    out += [b"--- %s\n" % old, b"+++ %s\n" % new]
    for group in difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(3):
        out.append(_hunk_head(group))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                out += _marked(b" ", before[i1:i2])
            if tag in ("replace", "delete"):
                out += _marked(b"-", before[i1:i2])
            if tag in ("replace", "insert"):
                out += _marked(b"+", after[j1:j2])
    return b"".join(out)


def _posix(path: Path) -> bytes:
    text = path.as_posix()
    return text.lstrip("/").encode(errors="surrogateescape")


def _hunk_head(group: list[tuple[str, int, int, int, int]]) -> bytes:
    def span(start: int, stop: int) -> str:
        length = stop - start
        return f"{start + 1 if length else start},{length}"

    return f"@@ -{span(group[0][1], group[-1][2])} +{span(group[0][3], group[-1][4])} @@\n".encode()


def _marked(sign: bytes, lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield sign + line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"


def print_diff(console: Console, plans: Iterable[FilePlan]) -> None:
    """Print the patch of all changed files: in colour on a terminal, byte for byte elsewhere."""
    for plan in plans:
        if not plan.changed:
            continue
        patch = unified_diff(plan)
        if not console.is_terminal:
            console.file.flush()
            stream = getattr(console.file, "buffer", None)
            if stream is not None:
                stream.write(patch)
                stream.flush()
            else:
                console.file.write(patch.decode(errors="replace"))
            continue
        for line in patch.decode(errors="replace").splitlines():
            style = {"+": "green", "-": "red", "@": "cyan", "d": "bold"}.get(line[:1], "")
            console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def print_report(console: Console, run: Run, written: bool, verbose: int = 0, dry: bool = False) -> None:
    """Print, for each file, what was done and why, then one line that sums it up.

    Args:
        written: the files were written; otherwise they would be.
        verbose: 0 prints what changed, was skipped or went wrong; 1 everything; -1 only what went wrong.
        dry: the run was a `--check` or a `--diff`.
    """
    for plan in run.plans:
        _print_file(console, plan, verbose)
    if verbose > 0:
        for note in run.notes:
            console.print(f"note: {note}", style="dim", markup=False, highlight=False)
    if verbose >= 0:
        _print_summary(console, run, written)


def _print_file(console: Console, plan: FilePlan, verbose: int) -> None:
    for problem in plan.problems:
        where = f"{plan.path}:{problem.line}" if problem.line else str(plan.path)
        console.print(f"[bold red]left alone[/] {escape(where)}: {escape(problem.reason)}", soft_wrap=True)
    quiet = verbose < 0 or plan.problems or not (plan.classes or plan.sites or plan.changed)
    if quiet or (verbose == 0 and not plan.changed and not any(_is_news(site) for site in plan.sites)):
        return
    state = "" if plan.changed else " (unchanged)"
    console.print(f"[bold]{escape(str(plan.path))}[/]{state}", soft_wrap=True)
    for cls in plan.classes:
        blocks = ", ".join(
            f"{b.block} {b.change}" + (f" ({b.reason})" if b.reason else "") for b in cls.blocks
        )
        console.print(f"  class {cls.name}: {blocks}", markup=False, highlight=False, soft_wrap=True)
        for note in cls.notes:
            console.print(f"    {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for site in plan.sites:
        reason = f": {site.reason}" if site.reason else ""
        text = f"  {site.line}:{site.column} {site.decision.value} {site.callee} in {site.scope}{reason}"
        console.print(text, style=_STYLES[site.decision], markup=False, highlight=False, soft_wrap=True)


def _is_news(site: Any) -> bool:
    return site.decision is Decision.SKIPPED


def _print_summary(console: Console, run: Run, written: bool) -> None:
    sites = Counter(site.decision for plan in run.plans for site in plan.sites)
    changed = sum(plan.changed for plan in run.plans)
    left = sum(bool(plan.problems) for plan in run.plans)
    parts = [
        f"{_count(len(run.plans), 'file')}",
        f"{changed} {'changed' if written else 'would change'}",
        f"{sites[Decision.WRAPPED]} calls wrapped",
    ]
    if sites[Decision.QUEUED_ONLY]:
        parts.append(f"{sites[Decision.QUEUED_ONLY]} queued only")
    parts.append(f"{sites[Decision.SKIPPED]} skipped")
    if left:
        parts.append(f"{left} left alone")
    console.print(", ".join(parts) + ".", highlight=False, style="bold")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def as_json(run: Run) -> dict[str, Any]:
    """Return the facts of a run for machines."""
    return {
        "version": 1,
        "files": [
            {
                "path": str(plan.path),
                "changed": plan.changed,
                "problems": [{"line": p.line, "reason": p.reason} for p in plan.problems],
                "classes": [
                    {
                        "name": cls.name,
                        "line": cls.line,
                        "notes": list(cls.notes),
                        "blocks": [
                            {"block": b.block, "line": b.line, "change": b.change, "reason": b.reason}
                            for b in cls.blocks
                        ],
                    }
                    for cls in plan.classes
                ],
                "sites": [
                    {
                        "line": site.line,
                        "column": site.column,
                        "scope": site.scope,
                        "callee": site.callee,
                        "library": site.library,
                        "decision": site.decision.value,
                        "reason": site.reason,
                    }
                    for site in plan.sites
                ],
            }
            for plan in run.plans
        ],
        "notes": run.notes,
    }
