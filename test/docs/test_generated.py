"""What the README and docs/ say about the program is so: quoted parts are current, and so are the defaults."""

from __future__ import annotations

import re
import runpy

import pytest

from backend_retrofit.codemods.blocks import templates
from ipfs_accelerate_py.api_backends import openai_api

from .blocks import PAGES, ROOT

GENERATED = [page for page in PAGES if "<!-- end " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_quoted_parts_are_current(page):
    """If not: .venv/bin/python scripts/update_readme"""
    readme = runpy.run_path(str(ROOT / "scripts" / "update_readme"))["readme"]
    text = page.read_text(encoding="utf-8")
    assert readme(text) == text


def test_no_diff_is_written_by_hand():
    for page in PAGES:
        text = re.sub(r"<!-- (\w+):.*?<!-- end \1 -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert "```diff" not in text, page


def test_every_setting_is_there_with_its_real_default():
    text = (ROOT / "docs" / "blocks.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", text, re.MULTILINE))
    api = openai_api()
    settings = [setting for block in templates.SETTINGS.values() for setting in block]
    assert sorted(rows) == sorted(settings)
    for setting, default in rows.items():
        assert getattr(api, setting) == eval(default), setting


def test_the_readme_is_what_a_newcomer_reads():
    """All else is in docs/."""
    assert 120 <= len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
