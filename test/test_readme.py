"""The README says what is so: its diff is the current one, and its code runs."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

from ipfs_accelerate_py.api_backends import openai_api

from .loopback import LoopbackServer
from .vendors import openai

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_diff_is_the_current_one():
    """If not: .venv/bin/python scripts/update_readme"""
    readme = runpy.run_path(str(ROOT / "scripts" / "update_readme"))["readme"]
    assert readme(README) == README


def test_every_python_block_runs(monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    with LoopbackServer(openai.app) as server:
        monkeypatch.setenv("OPENAI_API_KEY", openai.KEY)
        module = sys.modules["ipfs_accelerate_py.api_backends.openai_api"]
        monkeypatch.setattr(module, "pick_base_url", lambda *args: server.url + "/v1")
        names = {"messages": [{"role": "user", "content": "Hello"}]}
        exec("\n".join(blocks), names)
        assert names["result"]["choices"][0]["message"]["content"] == "Echo: Hello"


def test_every_default_of_the_settings_table_is_the_real_one():
    rows = re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", README, re.MULTILINE)
    assert len(rows) == 14
    api = openai_api()
    for name, default in rows:
        assert getattr(api, name) == eval(default), name
