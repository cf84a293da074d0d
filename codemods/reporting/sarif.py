"""The facts of a run as a SARIF 2.1.0 log, which GitHub code scanning and editors read.

Standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..model import Decision
from .facts import Facts, FileFacts, is_pending, site_message

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"

_RULES = {
    "wrapped": "The call goes through the queue, with backoff.",
    "queued-only": "The call goes through the queue, without a second backoff: it is retried already.",
    "skipped": "The call looks like a request, and was not wrapped.",
    "unwrapped": "The call was wrapped, and no longer is.",
    "block": "A block of a class was added, upgraded, kept, removed or skipped.",
    "left-alone": "The file could not be handled, and was not changed.",
}


def sarif_log(facts: Facts, exit_status: int) -> dict[str, Any]:
    """Return the log of a run.

    Args:
        exit_status: of the command.
    """
    results = [result for file in facts["files"] for result in _file(file, facts["written"])]
    _add_fingerprints(results)
    driver = {
        "name": facts["tool"]["name"],
        "version": facts["tool"]["version"],
        "rules": [{"id": name, "shortDescription": {"text": text}} for name, text in _RULES.items()],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The folder that the command ran in."}}},
        "invocations": [
            {
                "executionSuccessful": facts["summary"]["left_alone"] == 0,
                "exitCode": exit_status,
                "toolExecutionNotifications": [
                    {"level": level, "message": {"text": text}}
                    for level, texts in (("warning", facts["warnings"]), ("note", facts["notes"]))
                    for text in texts
                ],
            }
        ],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _file(file: FileFacts, written: bool) -> list[dict[str, Any]]:
    results = []
    for problem in file["problems"]:
        result = _result("left-alone", "error", problem["reason"], file, problem["line"])
        results.append(_suppressed(result) if problem["accepted"] else result)
    for cls in file["classes"]:
        for block in cls["blocks"]:
            text = f"class {cls['name']}: {block['block']} {block['change']}"
            text += f": {block['reason']}" if block["reason"] else ""
            results.append(_result("block", "none", text, file, cls["line"]))
        for note in cls["notes"]:
            results.append(_result("block", "none", f"class {cls['name']}: {note}", file, cls["line"]))
    for site in file["sites"]:
        level = "note" if site["decision"] == Decision.SKIPPED.value else "none"
        if is_pending(site, written):
            level = "warning"
        rule = site["decision"].replace(" ", "-")
        message = site_message(site, written)
        result = _result(rule, level, message, file, site["line"], site["column"], site["scope"])
        results.append(_suppressed(result) if site["accepted"] else result)
    return results


def _suppressed(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as one that a baseline accepts (§3.27.23)."""
    return {**result, "suppressions": [{"kind": "external", "status": "accepted"}]}


def _result(
    rule: str, level: str, message: str, file: FileFacts, line: int, column: int = 0, scope: str = ""
) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": _artifact(file["path"])}
    if line:
        location["region"] = {"startLine": line, **({"startColumn": column} if column else {})}
    place: dict[str, Any] = {"physicalLocation": location}
    if scope:
        place["logicalLocations"] = [{"fullyQualifiedName": scope, "kind": "function"}]
    result = {
        "ruleId": rule,
        "ruleIndex": list(_RULES).index(rule),
        # §3.27.10: a level other than "none" belongs to a failure, and only to that.
        "kind": "informational" if level == "none" else "fail",
        "level": level,
        "message": {"text": message},
        "locations": [place],
    }
    return result


def _artifact(path: str) -> dict[str, str]:
    if Path(path).is_absolute():
        return {"uri": Path(path).as_uri()}
    return {"uri": quote(os.fsencode(path)), "uriBaseId": _ROOT}


def _add_fingerprints(results: list[dict[str, Any]]) -> None:
    """Give each result a fingerprint without its line number, so that it is known again after edits above it."""
    seen: Counter[str] = Counter()
    for result in results:
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        text = f"{result['ruleId']}\0{place}\0{result['message']['text']}"
        seen[text] += 1
        digest = hashlib.sha256(f"{text}\0{seen[text]}".encode(errors="backslashreplace")).hexdigest()
        result["partialFingerprints"] = {"retrofit/v1": digest[:32]}
