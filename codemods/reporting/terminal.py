"""Tells a person at a terminal what a run found and did: per file, and as an explanation of everything."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..model import Decision
from ..source.visible import visible, visible_name
from .added_lines import lines_sentence
from .facts import ClassFacts, Facts, FileFacts, SiteFacts

QUIET, NORMAL, VERBOSE, EXPLAIN = -1, 0, 1, 2
"""How much is printed: what went wrong; what changes or was not wrapped; everything; everything, each with its place."""

_STYLES = {
    Decision.WRAPPED.value: "green",
    Decision.QUEUED_ONLY.value: "yellow",
    Decision.SKIPPED.value: "magenta",
    "left alone": "bold red",
    Decision.UNWRAPPED.value: "cyan",
    "changed": "bold green",
    "added": "bold green",
    "removed": "bold green",
    "would change": "bold yellow",
    "would be added": "bold yellow",
    "would be removed": "bold yellow",
    "unchanged": "dim",
}
_NEW = frozenset({"added", "upgraded", "merged"})
_LABEL_WIDTH = max(len(decision.value) for decision in Decision)


class Terminal(Console):
    """A console that writes plain text where it is not a terminal, or where `NO_COLOR` is set.

    A reader that goes away, as `head` does, ends in a `BrokenPipeError` for the caller to deal with.
    """

    def __init__(self, stderr: bool = False) -> None:
        plain = bool(os.environ.get("NO_COLOR"))
        super().__init__(stderr=stderr, highlight=False, color_system=None if plain else "auto")

    def on_broken_pipe(self) -> None:
        """Leave it to the caller."""
        raise BrokenPipeError

    def put(self, text: Text | str, style: str = "") -> None:
        """Print one line; its text is taken literally, and it is not broken into several."""
        shown = text if isinstance(text, Text) else Text(visible(text))
        self.print(shown, style=style or None, soft_wrap=True)


def print_files(console: Terminal, facts: Facts, level: int) -> None:
    """Print for each file what was done, and why."""
    for file in facts["files"]:
        if level == EXPLAIN:
            _explain(console, file)
        elif level > QUIET and not file["problems"] and _is_news(file, level):
            _print_file(console, file, level)
    if level >= VERBOSE:
        for note in facts["notes"]:
            console.put(f"note: {note}", style="dim")


def _is_news(file: FileFacts, level: int) -> bool:
    if level >= VERBOSE:
        return bool(file["classes"] or file["sites"] or file["changed"])
    return file["changed"] or any(_is_open(site) for site in file["sites"])


def _is_open(site: SiteFacts) -> bool:
    """Return True for a skipped call that nobody has accepted."""
    return site["decision"] == Decision.SKIPPED.value and not site["accepted"]


def _print_file(console: Terminal, file: FileFacts, level: int) -> None:
    head = Text(visible_name(file["path"]), style="bold")
    head.append(f"  {file['state']}", style=Style.parse(_STYLES[file["state"]]))
    console.put(head)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", width=6)
    grid.add_column(width=_LABEL_WIDTH)
    grid.add_column(overflow="fold")
    entries: list[tuple[int, str, str, str]] = []
    for cls in file["classes"]:
        if level >= VERBOSE or file["changed"]:
            entries.append((cls["line"], "class", "bold", _class_text(cls)))
            entries += [(cls["line"], "", "", note) for note in cls["notes"]]
    for site in file["sites"]:
        if level >= VERBOSE or (file["changed"] and not site["accepted"]) or _is_open(site):
            entries.append((site["line"], site["decision"], _STYLES[site["decision"]], _site_text(site)))
    entries.sort(key=lambda entry: entry[0])
    for line, label, style, text in entries:
        if console.is_terminal:
            grid.add_row(str(line) if label else "", Text(label, style=style), Text(visible(text)))
        else:
            console.put(f"{line if label else '':6} {label:{_LABEL_WIDTH}} {text}")
    if console.is_terminal:
        console.print(grid)


def _class_text(cls: ClassFacts) -> str:
    changes: dict[tuple[str, str], list[str]] = {}
    for block in cls["blocks"]:
        changes.setdefault((block["change"], block["reason"]), []).append(block["block"])
    parts = [
        f"{', '.join(blocks)} {change}" + (f" ({reason})" if reason else "")
        for (change, reason), blocks in changes.items()
    ]
    return f"{cls['name']}: " + ("; ".join(parts) or "no blocks")


def _site_text(site: SiteFacts) -> str:
    return f"{site['callee']} in {site['scope']}" + (f": {site['reason']}" if site["reason"] else "")


def _explain(console: Terminal, file: FileFacts) -> None:
    """Print every fact about a file, one a line, each with its place first."""
    entries: list[tuple[int, int, str, str, str]] = []
    for cls in file["classes"]:
        for block in cls["blocks"]:
            text = f"class {cls['name']}: {block['block']} {block['change']}"
            text += f": {block['reason']}" if block["reason"] else ""
            entries.append((cls["line"], 0, "", "bold", text))
        entries += [(cls["line"], 0, "", "", f"class {cls['name']}: {note}") for note in cls["notes"]]
    for site in file["sites"]:
        text = _site_text(site) if site["reason"] else f"{_site_text(site)}: {_why_wrapped(site)}"
        entries.append((site["line"], site["column"], site["decision"], _STYLES[site["decision"]], text))
    for line, column, label, style, text in sorted(entries, key=lambda entry: entry[:2]):
        out = Text(f"{visible_name(file['path'])}:{line}:{f'{column}:' if column else ''} ")
        out.append(f"{label} " if label else "", style=style)
        console.put(out.append(visible(text)))


def _why_wrapped(site: SiteFacts) -> str:
    return f"sent with {site['library']}" if site["library"] != "?" else "what sends it is not known here"


def print_warnings(console: Terminal, warnings: Iterable[str]) -> None:
    """Print what the user has to know before anything is written."""
    for warning in warnings:
        text = Text("warning: ", style="bold yellow")
        console.put(text.append(visible(warning), style=Style(bold=False, color="default")))


def print_problems(console: Terminal, facts: Facts) -> None:
    """Print each file that was left alone, with line and reason."""
    for file in facts["files"]:
        for problem in file["problems"]:
            if problem["accepted"]:
                continue
            where = visible_name(file["path"]) + (f":{problem['line']}" if problem["line"] else "")
            text = Text("error: ", style="bold red")
            reason = visible(problem["reason"])
            console.put(text.append(f"{where}: {reason}", style=Style(bold=False, color="default")))


def print_summary(
    console: Terminal, facts: Facts, removing: bool = False, functions_asked: bool = False
) -> None:
    """Print what sums the run up: which calls `--functions` would reach, how many lines come where, and the numbers."""
    if not removing:
        _print_keys(console, facts)
    number = sum(site["of_module"] and _is_open(site) for file in facts["files"] for site in file["sites"])
    if number and not removing and not functions_asked:
        console.put(f"{_count(number, 'call')} in module functions: --functions would reach {_them(number)}.")
    if facts["for_callers"]:
        console.put(facts["for_callers"])
    if added := lines_sentence(facts["lines"], facts["written"]):
        console.put(added)
    console.put(summary_line(facts, removing), style="bold")


def print_statistics(console: Terminal, facts: Facts) -> None:
    """Print how often each thing was decided, by reason."""
    for entry in facts["statistics"]:
        console.put(
            f"{entry['count']:6} {entry['what']}" + (f": {entry['reason']}" if entry["reason"] else "")
        )


def _print_keys(console: Terminal, facts: Facts) -> None:
    """Print for each class that gets a key block, or another one, where its key is read from."""
    told = [
        f"  {cls['name']}: {', '.join(cls['key_variables'])}"
        for file in facts["files"]
        for cls in file["classes"]
        if any(block["block"] == "env_key" and block["change"] in _NEW for block in cls["blocks"])
    ]
    if told:
        console.put("API keys that are not given are read from:")
        for line in dict.fromkeys(told):
            console.put(line)


def summary_line(facts: Facts, removing: bool = False) -> str:
    """Return the line that sums a run up."""
    numbers = facts["summary"]
    if not numbers["files"]:
        return "There is no Python file to work on." + (
            " (-v lists what was skipped.)" if facts["notes"] else ""
        )
    head = _what_changes(numbers, facts["written"])
    parts = []
    if numbers["unwrapped"]:
        parts.append(f"{_count(numbers['unwrapped'], 'call')} unwrapped")
    if numbers["wrapped"] or numbers["queued_only"] or numbers["skipped"] or not removing:
        parts.append(f"{_count(numbers['wrapped'], 'call')} wrapped")
        if numbers["queued_only"]:
            parts.append(f"{numbers['queued_only']} queued only")
        accepted = sum(site["accepted"] for file in facts["files"] for site in file["sites"])
        parts.append(
            f"{numbers['skipped'] or 'none'} skipped" + (f" ({accepted} accepted)" if accepted else "")
        )
    if numbers["left_alone"]:
        parts.append(f"{_count(numbers['left_alone'], 'file')} left alone")
    return head + (": " if parts else "") + ", ".join(parts) + "."


def _what_changes(numbers: dict[str, int], written: bool) -> str:
    """Return how many files change, come and go: `1 of 2 files changed, 1 added`."""
    there = numbers["files"] - numbers["added"]
    be = "" if written else "would be "
    parts = []
    if numbers["changed"]:
        of = "" if numbers["changed"] == there else f"{numbers['changed']} of "
        parts.append(f"{of}{_count(there, 'file')} {'changed' if written else 'would change'}")
    for what in ("added", "removed"):
        if numbers[what]:
            number = str(numbers[what]) if parts else _count(numbers[what], "file")
            parts.append(f"{number} {be}{what}")
    return ", ".join(parts) or f"{_count(there, 'file')}, nothing to change"


def _them(number: int) -> str:
    return "it" if number == 1 else "them"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
