"""The review page: one HTML file that needs nothing else, with the facts of a run and its diffs side by side.

The template, the style and the script lie in `assets/`. The page's own policy forbids every request and every script
but the one that it carries.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from ...model import BLOCKS, Decision, FilePlan
from ...source.visible import visible_name
from ..added_lines import lines_sentence
from ..diff import line_map
from ..facts import ClassFacts, Facts, FileFacts, SiteFacts
from ..terminal import summary_line
from .code import SideBySide, side_by_side, site_anchor

ASSETS = Path(__file__).resolve().parent / "assets"


@dataclass
class Site:
    """A call, and where its line is on the page."""

    id: str
    facts: SiteFacts
    anchor: str


@dataclass
class File:
    """A file as the page shows it."""

    id: str
    facts: FileFacts
    sites: list[Site]
    diff: SideBySide
    counts: Counter[str]

    @property
    def kind(self) -> str:
        return self.facts["state"].replace(" ", "-")


def render(facts: Facts, plans: Sequence[FilePlan]) -> str:
    """Return the page.

    Args:
        facts: of the run.
        plans: its files, in the order of the facts. Their `before` is what the page shows on the left.
    """
    runtimes: dict[str, str] = {}
    told = [
        (file, plan)
        for file, plan in zip(facts["files"], plans, strict=True)
        if file["changed"] or file["problems"] or file["sites"] or file["classes"]
    ]
    files = [_file(f"f{number}", file, plan, runtimes) for number, (file, plan) in enumerate(told, 1)]
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    script = (ASSETS / "page.js").read_text(encoding="utf-8")
    return _template().render(
        facts=facts,
        files=files,
        blocks=BLOCKS,
        decisions=[decision.value for decision in Decision],
        headline=summary_line(facts),
        added=lines_sentence(facts["lines"], facts["written"]),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}",
    )


def _digest(text: str) -> str:
    """Return how a Content-Security-Policy names a text that it allows (CSP 3 §2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS, encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters["slug"] = lambda text: text.replace(" ", "-")
    environment.filters["by_block"] = _by_block
    environment.filters["ticks"] = _ticks
    environment.filters["name"] = visible_name
    return environment.get_template("page.html.j2")


def _file(anchor: str, file: FileFacts, plan: FilePlan, runtimes: dict[str, str]) -> File:
    moved = line_map(plan.before, plan.after)
    sites = [
        Site(f"{anchor}-c{number}", site, site_anchor(plan, planned, anchor, moved))
        for number, (site, planned) in enumerate(zip(file["sites"], plan.sites, strict=True))
    ]
    counts = Counter(site["decision"] for site in file["sites"])
    return File(anchor, file, sites, side_by_side(plan, anchor, runtimes), counts)


def _ticks(text: str) -> Markup:
    """Return a sentence as HTML; what stands between backticks is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Markup().join([text])
    return Markup().join(
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    )


def _by_block(cls: ClassFacts) -> dict[str, dict[str, str]]:
    """Return what happens to each block of a class; what happens to all of them stands under `all`."""
    return {block["block"]: {"change": block["change"], "reason": block["reason"]} for block in cls["blocks"]}
