"""The facts of a run as workflow commands, which GitHub Actions shows beside the lines of a pull request.

Syntax: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from ..source.visible import visible, visible_name
from .facts import Facts, FileFacts, is_pending, site_message

_ORDER = ("error", "warning", "notice")


def commands(facts: Facts) -> list[str]:
    """Return one command a line, the gravest first: GitHub shows no more than ten of each kind per step.

    Errors are files that were left alone, warnings are what is still to be changed, notices all the rest.
    """
    parts = [("warning", "title=before it is written", _data(text)) for text in facts["warnings"]]
    parts += [command for file in facts["files"] for command in _file(file, facts["written"])]
    return [
        f"::{kind} {place}::{message}"
        for wanted in _ORDER
        for kind, place, message in parts
        if kind == wanted
    ]


def _file(file: FileFacts, written: bool) -> list[tuple[str, str, str]]:
    result = []
    for problem in file["problems"]:
        if problem["accepted"]:
            continue
        result.append(("error", _place(file, problem["line"], 0, "left alone"), _data(problem["reason"])))
    if file["state"].rpartition(" ")[2] in ("added", "removed"):
        kind = "notice" if written else "warning"
        result.append((kind, _place(file, 0, 0, f"file {file['state']}"), f"this file {_data(_verb(file))}"))
    for cls in file["classes"]:
        for block in cls["blocks"]:
            text = f"class {cls['name']}: {block['block']} {block['change']}"
            text += f": {block['reason']}" if block["reason"] else ""
            pending = not written and block["change"] in ("added", "upgraded", "removed")
            kind = "warning" if pending else "notice"
            result.append((kind, _place(file, cls["line"], 0, f"block {block['change']}"), _data(text)))
        for note in cls["notes"]:
            result.append(
                ("notice", _place(file, cls["line"], 0, "note"), _data(f"class {cls['name']}: {note}"))
            )
    for site in file["sites"]:
        if site["accepted"]:
            continue
        kind = "warning" if is_pending(site, written) else "notice"
        place = _place(file, site["line"], site["column"], site["decision"])
        result.append((kind, place, _data(site_message(site, written))))
    return result


def _verb(file: FileFacts) -> str:
    """Return `was added`, or `would be added`."""
    return file["state"] if " " in file["state"] else f"was {file['state']}"


def _place(file: FileFacts, line: int, column: int, title: str) -> str:
    parts = [f"file={_property(visible_name(file['path']))}"]
    parts += [f"line={line}"] if line else []
    parts += [f"col={column}"] if column else []
    return ",".join([*parts, f"title={_property(title)}"])


def _data(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
