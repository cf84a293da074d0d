"""docs/rules.md has every rule, each with tests that name it or with the word that it is still to come."""

from __future__ import annotations

import re
import runpy

import pytest

from .blocks import ROOT
from .test_links import anchors

PAGE = ROOT / "docs" / "rules.md"
RULES = dict(
    re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
)
GROUPS = {"Q": 14, "B": 16, "K": 6, "A": 1, "S": 1, "C": 13, "R": 18}
"""How many rules each group has."""


def rules_of_tests() -> dict[str, frozenset[str]]:
    return runpy.run_path(str(ROOT / "scripts" / "update_readme"))["rules_of_tests"]()


def test_every_rule_is_there_once_and_in_order():
    assert list(RULES) == [
        f"{group}{number + 1}" for group, count in GROUPS.items() for number in range(count)
    ]


def test_every_rule_that_a_test_names_is_there():
    named = rules_of_tests()
    assert {module: rules - RULES.keys() for module, rules in named.items() if rules - RULES.keys()} == {}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_tests_or_is_said_to_be_still_to_come(rule):
    text = RULES[rule]
    assert "\nTests: " in text or "*Not there yet" in text
    assert f"<!-- tests:{rule} -->\n" in text
    assert re.match(r"\n\*\*", text), "its promise in a few words comes first"


@pytest.mark.parametrize("folder", ["README.md", "CONTRIBUTING.md", "docs", "runtime", "codemods"])
def test_links_to_a_rule_lead_to_it(folder):
    place = ROOT / folder
    files = (
        [place] if place.is_file() else [path for path in place.rglob("*") if path.suffix in (".md", ".py")]
    )
    linked = {
        rule for path in files for rule in re.findall(r"rules\.md#(\w+)", path.read_text(encoding="utf-8"))
    }
    assert linked <= anchors(PAGE)
