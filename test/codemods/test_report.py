"""What the terminal is told."""

from __future__ import annotations

import re

from backend_retrofit.codemods.cli import main

CLIENT = "import requests\n\n\nclass Client:\n    def get(self):\n        return requests.get('http://a.example')\n"


def test_a_diff_shows_the_users_own_files_before_the_runtime(tmp_path, capfdbinary):
    for name in ("__init__.py", "zoo.py"):
        (tmp_path / name).write_text(CLIENT if name == "zoo.py" else "")
    assert main([str(tmp_path), "--diff"]) == 1
    names = re.findall(rb"^diff --git \S+?([^/\s]+\.py) ", capfdbinary.readouterr().out, re.MULTILINE)
    assert names == [b"zoo.py", b"_request_engine.py"]
