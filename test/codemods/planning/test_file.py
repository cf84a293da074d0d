"""What becomes of a file as a whole: blocks, upgrades, hand edits, refusals, odd beginnings and ends (C1, C3)."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods.blocks import templates

from ..check import check_refused, check_transformed, planned

CLIENT = """\
import requests


class Client:
    def get(self, url):
        return requests.get(url)
"""


@pytest.mark.parametrize("blocks", [("queue",), ("backoff",), ("queue", "backoff")])
def test_only_the_blocks_that_are_asked_for(blocks):
    entry = "_queued" if "queue" in blocks else "_retried"
    result = check_transformed(CLIENT, f"self.{entry}(requests.get)(url)", blocks=blocks)
    assert result.after.count(b">>> retrofit:") == len(blocks)


def test_a_changed_template_replaces_the_block_in_place(monkeypatch):
    before = planned(CLIENT).after
    original = templates.block

    def changed(name, *args, **kwargs):
        block = original(name, *args, **kwargs)
        return templates.Block(name, block.code.replace("(60)", "(240)"), block.values)

    monkeypatch.setattr(templates, "block", changed)
    after = planned(before).after
    assert b"max_retry_delay = RequestEngine.setting(240)" in after
    assert len(after.splitlines()) == len(before.splitlines())
    assert planned(after, remove=True).after == CLIENT.encode()


def test_a_block_that_was_edited_by_hand_is_left_with_the_line_and_the_flag():
    edited = planned(CLIENT).after.replace(b"views()", b"views()[:2]")
    result = check_refused(edited, "--overwrite-edited")
    assert result.problems[0].line == 9
    assert not planned(edited, overwrite_edited=True).problems
    check_refused(edited, "edited by hand", remove=True)


def test_edits_outside_of_the_blocks_survive_removal():
    edited = planned(CLIENT).after.replace(b"def get(self, url)", b"def fetch(self, url, x=1)")
    assert (
        planned(edited, remove=True).after
        == CLIENT.replace("def get(self, url)", "def fetch(self, url, x=1)").encode()
    )


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: text.replace("# <<< retrofit:queue", "#"), "is missing"),
        (lambda text: text.replace("retrofit:queue v2", "retrofit:queue v9"), "newer version"),
        (lambda text: text.replace("# >>> retrofit:queue", "# >>> retrofit:oops"), "fix one of the two"),
    ],
)
def test_damaged_markers_are_refused(spoil, reason):
    check_refused(spoil(planned(CLIENT).after.decode()), reason)


def test_a_marker_inside_a_string_is_none():
    check_transformed(CLIENT + '\n    text = """\n    # >>> retrofit:queue v1 0123456789\n    """\n')


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"import requests\nclass :\n", "does not parse"),
        (b"import requests\n\0", "does not parse"),
        (b"# coding: nonsense\nimport requests\n", "unknown encoding"),
        (b"import requests\nx = '\xff'\n", "invalid"),
        (b"import requests\nx = " + b"(" * 5000 + b")" * 5000, ""),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone(data, reason):
    check_refused(data, reason)


@pytest.mark.parametrize(
    "source",
    [
        "#!/usr/bin/env python\n# -*- coding: latin-1 -*-\n" + CLIENT,
        '"""Only a docstring."""\n' + CLIENT.replace("import requests\n", "").replace("requests.get", "__import__('requests')")
        .replace("def get(self, url):", "def get(self, url):\n        import requests\n\n        requests.put(url)"),
        '"""Doc."""\nfrom __future__ import annotations\n\n' + CLIENT,
        "class Client:\n    def get(self, url):\n        import requests\n\n        return requests.get(url)\n",
        CLIENT + "\n    # a comment at the end of the class\n\n\n# and one behind it\nx = 1\n",
        CLIENT + "    y = 1 + \\\n        2\n",
    ],
)  # fmt: skip
def test_odd_beginnings_and_ends_of_files(source):
    check_transformed(source)


@pytest.mark.parametrize("source", [CLIENT, '"""Doc."""\n\n' + CLIENT, CLIENT + "\n\nClient().get('x')\n"])
def test_the_runtime_inside_the_file(source):
    check_transformed(source, inline=True)
    assert b"def _request_engine():" in planned(source, in_package=False).after
