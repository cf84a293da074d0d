"""C11: a changed default in a block is a setting, and no damage: it is kept, and said."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods.blocks import configured
from backend_retrofit.codemods.blocks.find_markers import find_markers
from backend_retrofit.codemods.blocks.removal import strip
from backend_retrofit.codemods.model import FilePlan, State
from backend_retrofit.codemods.source.text import Source

from ..check import check_noop, check_refused, planned
from ..planning.test_file import CLIENT
from ..version_1 import as_of_version_1

DONE = planned(CLIENT).after.decode()
KEY = CLIENT.replace(
    "class Client:\n",
    "class ShopClient:\n    def __init__(self, api_key=None):\n        self.api_key = api_key\n\n",
)
NEW = "\n    def put(self, url):\n        return requests.put(url)\n"


def changes(result: FilePlan, block: str = "queue") -> tuple[str, State, str]:
    """Return what became of a block."""
    (change,) = [b for cls in result.classes for b in cls.blocks if b.block == block]
    return change.change, change.state, change.reason


@pytest.mark.parametrize(
    ("block", "old", "new", "told"),
    [
        ("queue", "setting(5)", "setting(3)", "max_concurrent_requests = 3"),
        ("queue", "setting(True)", "setting(False)", "queue_enabled = False"),
        ("queue", "setting(100)", "setting(LIMIT)", "queue_size = LIMIT"),
        ("queue", "setting(100)", 'setting(int(os.environ["SIZE"]))', "queue_size = int(os.environ['SIZE'])"),
        (
            "queue",
            "queue_full = queue_timeout",
            "queue_timeout = RequestEngine.setting(30)\n    queue_full",
            "queue_timeout = 30",
        ),
        (
            "queue",
            "    queue_size",
            "    reuse_connections = RequestEngine.setting(True)\n    queue_size",
            "reuse_connections = True",
        ),
        ("backoff", "setting(60)", "setting(9.5)", "max_retry_delay = 9.5"),
        (
            "backoff",
            "    max_retry_after",
            "    retry_jitter = RequestEngine.setting(0)\n    max_retry_after",
            "retry_jitter = 0",
        ),
    ],
)
def test_C11_a_default_that_somebody_has_changed_is_kept_and_said(block, old, new, told):
    text = DONE.replace(old, new, 1)
    result = check_noop(text)
    assert changes(result, block) == ("kept", State.CONFIGURED, f"with {told}, as it stands there")
    assert strip(text.encode()).decode() == CLIENT
    assert planned(text, remove=True).after.decode() == CLIENT


def test_C11_new_calls_of_the_file_are_wrapped():
    text = DONE.replace("setting(5)", "setting(3)", 1).replace(
        "\n    # >>> retrofit:queue", NEW + "\n    # >>> retrofit:queue"
    )
    result = planned(text)
    assert not result.problems
    assert b"self._queued(requests.put)(url)" in result.after
    assert b"setting(3)" in result.after


def test_C11_a_changed_default_outlives_another_form_of_the_block():
    text = DONE.replace("setting(5)", "setting(3)", 1)
    text = text.replace(
        "    # >>> retrofit:queue", "    def close(self):\n        pass\n\n    # >>> retrofit:queue"
    )
    result = planned(text)
    assert changes(result)[:2] == ("upgraded", State.CONFIGURED)
    assert b"context(close)" in result.after
    assert b"max_concurrent_requests = RequestEngine.setting(3)" in result.after
    assert changes(check_noop(result.after))[:2] == ("kept", State.CONFIGURED)


def test_C11_a_changed_default_wins_over_the_projects():
    text = DONE.replace("setting(5)", "setting(3)", 1)
    settings = (("max_concurrent_requests", 9), ("queue_size", 50))
    result = planned(text, settings=settings)
    assert b"max_concurrent_requests = RequestEngine.setting(3)" in result.after
    assert b"queue_size = RequestEngine.setting(50)" in result.after
    check_noop(result.after, settings=settings)


def test_a_block_says_which_defaults_of_the_project_it_was_made_with():
    text = planned(CLIENT, settings=(("queue_size", 50), ("queue_timeout", 7))).after.decode()
    assert '{"defaults":{"queue_size":50,"queue_timeout":7}}' in text
    assert "    queue_timeout = RequestEngine.setting(7)\n" in text
    (region, _) = find_markers(Source.decode(text.encode())).regions
    assert not region.changed
    changed = text.replace("setting(50)", "setting(100)")
    (region, _) = find_markers(Source.decode(changed.encode())).regions
    assert configured.own_defaults(region) == {"queue_size": "100"}


def test_C11_overwriting_loses_a_changed_default():
    result = planned(DONE.replace("setting(5)", "setting(3)", 1), overwrite_edited=True)
    assert result.after.decode() == DONE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"SHOP_API_KEY"', '"SHOP_API_KEY", "OTHER_KEY"'),
        ('"SHOP_API_KEY"', '"SHOP_API_KEY", metadata_names=("own_key",)'),
        ('"SHOP_API_KEY"', '"SHOP_API_KEY", missing=""'),
    ],
)
def test_C11_other_variables_in_a_key_block_are_a_setting_too(old, new):
    text = planned(KEY).after.decode()
    assert old in text
    result = check_noop(text.replace(old, new))
    assert changes(result, "env_key")[:2] == ("kept", State.CONFIGURED)


def test_a_key_block_with_other_code_in_it_is_edited():
    text = planned(KEY).after.decode()
    check_refused(text.replace('"SHOP_API_KEY"', "NAME"), "edited by hand")


# Blocks of version 1.


def test_C3_a_block_of_version_1_is_upgraded():
    old = as_of_version_1(CLIENT)
    assert old.count("v1 ") == 2
    assert strip(old.encode()).decode() == CLIENT
    result = planned(old)
    assert result.after.decode() == DONE
    assert changes(result) == ("upgraded", State.CLEAN, "")


def test_C3_a_changed_default_in_a_block_of_version_1_is_kept():
    old = as_of_version_1(CLIENT)
    for before, after in (("setting(5)", "setting(3)"), ("queue_timeout = RequestEngine.setting(None)", "queue_timeout = RequestEngine.setting(30)")):  # fmt: skip
        assert before in old
        old = old.replace(before, after, 1)
    result = planned(old)
    assert changes(result)[:2] == ("upgraded", State.CONFIGURED)
    text = result.after.decode()
    assert "max_concurrent_requests = RequestEngine.setting(3)" in text
    assert "    queue_timeout = RequestEngine.setting(30)\n" in text
    assert changes(check_noop(text))[:2] == ("kept", State.CONFIGURED)


def test_C3_a_block_of_version_1_that_somebody_edited_is_left_alone():
    old = as_of_version_1(CLIENT).replace("The requests that wait, oldest first.", "Mine.")
    check_refused(old, "edited by hand")
    check_refused(old, "its template has changed since", merge=True)
    assert planned(old, overwrite_edited=True).after.decode() == DONE


def test_C7_a_class_with_a_method_map_of_its_own_keeps_it_when_its_block_is_upgraded():
    own = CLIENT + "\n    def map(self, url):\n        return [url]\n"
    result = planned(as_of_version_1(own))
    assert b"submit, retrofit_map, priority, queue_stats = RequestEngine.methods()" in result.after
