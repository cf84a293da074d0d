"""Wraps whose blocks are gone, or that stand where there is no instance: put right, taken out, and told of (C2)."""

from __future__ import annotations

import re

import pytest

from backend_retrofit.codemods.model import State

from ..check import check_noop, check_transformed, client, method, planned

CLIENT = """\
import requests


class Weather:
    def __init__(self, api_key=None):
        self.api_key = api_key

    def today(self, url):
        return requests.get(url)

    def later(self, pool, url):
        return pool.submit(requests.get, url)


class Tides:
    def high(self, url):
        return requests.get(url)
"""
DONE = planned(CLIENT).after.decode()
IMPORT = "from ._request_engine import RequestEngine  # retrofit:import\n"


def without(text: str, blocks: str, cls: str = "") -> str:
    """Return a text after somebody has deleted the blocks of these names by hand, of one class or of all."""
    head, found, rest = text.partition(f"class {cls}:") if cls else ("", "", text)
    body, next_class, tail = rest.partition("\n\n\nclass ") if cls else (rest, "", "")
    for block in blocks.split():
        body = re.sub(rf"\n\n    # >>> retrofit:{block} .*?# <<< retrofit:{block}", "", body, flags=re.DOTALL)
    return head + found + body + next_class + tail


ALL = "queue backoff env_key"
DELETED = {
    "all": without(DONE, ALL),
    "all and the import": without(DONE, ALL).replace(IMPORT, ""),
    "the queues": without(DONE, "queue"),
    "all of one class": without(DONE, ALL, "Weather"),
    "the queue of one class": without(DONE, "queue", "Weather"),
    "all of the last class": without(DONE, ALL, "Tides"),
    "the import": DONE.replace(IMPORT, ""),
    "the comment of the import": DONE.replace("  # retrofit:import", ""),
}


@pytest.mark.parametrize("deleted", DELETED.values(), ids=DELETED)
def test_a_run_puts_back_what_was_deleted_by_hand(deleted):
    assert deleted != DONE
    result = planned(deleted)
    assert not result.problems
    text = result.after.decode()
    # A block that is put back comes last in its class.
    wanted = DONE.replace("  # retrofit:import", "")
    assert sorted(text.replace("  # retrofit:import", "").split("\n")) == sorted(wanted.split("\n"))
    assert (
        text.partition("    # >>>")[0].replace("  # retrofit:import", "") == wanted.partition("    # >>>")[0]
    )
    check_noop(text)


@pytest.mark.parametrize("deleted", DELETED.values(), ids=DELETED)
def test_removal_takes_out_what_is_left(deleted):
    result = planned(deleted, remove=True)
    assert not result.problems
    assert result.after.decode() == CLIENT
    told = [f"{site.line} {site.decision.value} {site.callee} in {site.scope}" for site in result.sites]
    line = 1 - (IMPORT.split("  #")[0] not in deleted)
    tides = deleted[: deleted.index("def high")].count("\n") + 2
    assert told == [
        f"{9 + line} unwrapped requests.get in Weather.today",
        f"{12 + line} unwrapped requests.get in Weather.later",
        f"{tides} unwrapped requests.get in Tides.high",
    ]
    assert {site.library for site in result.sites} == {"requests"}


def test_the_block_that_was_gone_is_told_as_orphaned_with_the_way_out():
    weather, tides = planned(DELETED["the queue of one class"]).classes
    (queue,) = [block for block in weather.blocks if block.block == "queue"]
    assert (queue.change, queue.state) == ("added", State.ORPHANED)
    assert "--remove" in queue.reason
    assert all(block.change != "added" for block in tides.blocks)


def test_a_class_that_comes_to_a_file_later_has_the_same_entry_point():
    later = DONE + "\n\nclass Moon:\n    def phase(self, url):\n        return requests.get(url)\n"
    result = planned(later)
    assert b"_retrofit_queued" not in result.after
    assert not result.classes[-1].notes
    assert planned(result.after, remove=True).after.decode() == CLIENT + later.removeprefix(DONE)


def test_wraps_of_the_other_block_go_through_the_one_that_there_is():
    backoff = planned(CLIENT, blocks=("backoff",)).after.decode()
    lost = without(backoff, "backoff").replace(IMPORT, "")
    assert "self._retried(" in lost
    assert planned(lost).after.decode() == DONE
    assert planned(lost, remove=True).after.decode() == CLIENT


def test_a_renamed_entry_point_is_known_again():
    own = CLIENT.replace("    def high", "    def _queued(self):\n        return 1\n\n    def high")
    done = planned(own).after.decode()
    assert "self._retrofit_queued(requests.get)" in done
    lost = without(done, ALL)
    assert planned(lost).after.decode() == done
    assert planned(lost, remove=True).after.decode() == own


# The user's own.


@pytest.mark.parametrize(
    "own",
    [
        "    def _queued(self, call):\n        return call\n",
        "    _queued = staticmethod(len)\n",
        "    def __init__(self, wrap):\n        self._queued = wrap\n",
        "    def name(self):\n        return getattr(self, '_queued')\n",
        "    def hand(self):\n        return self._queued\n",
    ],
)
def test_a_method_of_the_users_own_of_that_name_is_no_entry_point(own):
    source = f"import requests\n\n\nclass A:\n{own}\n    def get(self, url):\n        return self._queued(requests.get)(url)\n"
    check_noop(source, remove=True)
    check_transformed(source, "self._queued(self._retrofit_queued(requests.get))(url)")


@pytest.mark.parametrize(
    "call", ["self._queued(self.item)", "worker._queued(requests.get)(url)", "self._queued()"]
)
def test_what_does_not_look_like_a_wrap_stays(call):
    check_noop(
        f"import requests\n\n\nclass A(Base):\n    def get(self, url, worker):\n        {call}\n", remove=True
    )


# Where no instance is.


def test_a_wrap_in_a_function_without_self_is_taken_out():
    moved = DONE + "\n\ndef put(url):\n    return self._queued(requests.put)(url)\n"
    result = planned(moved)
    assert result.after.decode() == moved.replace("self._queued(requests.put)", "requests.put")
    site = result.sites[-1]
    assert (site.decision.value, site.callee) == ("unwrapped", "requests.put")
    assert "its wrap was left over" in site.reason
    check_noop(result.after)


def test_a_wrap_in_a_function_that_is_given_self_is_told_of_and_stays():
    moved = DONE + "\n\ndef put(self, url):\n    return self._queued(requests.put)(url)\n"
    site = check_noop(moved).sites[-1]
    assert "works only with an instance that has the queue" in site.reason


def test_the_wraps_of_a_class_that_is_refused_are_taken_out():
    lost = without(DONE, ALL, "Tides").replace("class Tides:", 'class Tides:\n    __slots__ = ("x",)\n')
    result = planned(lost)
    assert not result.problems
    assert "__weakref__" in result.sites[-1].reason
    assert result.sites[-1].decision.value == "unwrapped"
    assert b"requests.get(url)" in result.after.partition(b"class Tides")[2]
    check_noop(result.after)


def test_where_no_block_is_asked_for_that_could_hold_them_wraps_are_taken_out():
    lost = without(DONE, ALL).replace(IMPORT, "")
    result = planned(lost, blocks=("env_key",))
    assert b"_queued" not in result.after
    assert {site.decision.value for site in result.sites} == {"unwrapped"}


def test_removing_some_blocks_takes_out_the_wraps_of_a_class_that_has_none():
    lost = without(DONE, ALL, "Tides")
    result = planned(lost, remove=True, blocks=("env_key",))
    assert not result.problems
    assert b"self._queued(requests.get)(url)" in result.after.partition(b"class Tides")[0]
    assert b"_queued" not in result.after.partition(b"class Tides")[2]


# Blocks elsewhere.


def blocks_of(cls: str) -> str:
    """Return the queue and backoff blocks of a class."""
    return re.search(
        rf"class {cls}:.*?(\n\n    # >>> retrofit:queue.*?# <<< retrofit:backoff)", DONE, re.DOTALL
    )[1]


def test_blocks_that_were_moved_to_another_class_stay_there_and_are_put_back_where_they_were():
    moved = (
        without(DONE, "queue backoff", "Tides") + "\n\nclass Other:\n    x = 1" + blocks_of("Tides") + "\n"
    )
    result = planned(moved)
    assert not result.problems
    assert result.after.count(b"_queued = RequestEngine.entry_point()") == 3
    assert b"_retrofit_queued" not in result.after
    check_noop(result.after)


def test_a_class_that_was_moved_to_a_file_of_its_own_gets_the_import():
    tides = "import requests\n\n\n" + DONE[DONE.index("class Tides") :]
    result = planned(tides)
    assert result.after.decode() == tides.replace("requests\n", f"requests\n{IMPORT}", 1)
    assert (
        planned(result.after, remove=True).after.decode()
        == "import requests\n\n\n" + CLIENT[CLIENT.index("class Tides") :]
    )


def test_the_blocks_of_a_class_with_another_name_stay_but_for_the_keys_variable():
    renamed = DONE.replace("class Weather", "class Forecast")
    result = planned(renamed)
    assert result.after.decode() != renamed
    assert b'"FORECAST_API_KEY"' in result.after
    assert planned(result.after, remove=True).after.decode() == CLIENT.replace(
        "class Weather", "class Forecast"
    )


def test_a_runtime_in_the_file_that_was_deleted_is_put_back():
    inline = planned(CLIENT, in_package=False).after.decode()
    lost = re.sub(r"\n\n\n# >>> retrofit:runtime .*?# <<< retrofit:runtime", "", inline, flags=re.DOTALL)
    assert planned(lost, in_package=False).after.decode() == inline
    assert planned(lost, in_package=False, remove=True).after.decode() == CLIENT


def test_both_sides_of_a_merge_are_named_as_such():
    text = DONE.replace(
        "    queue_size =", "<<<<<<< HEAD\n    queue_size = 1\n=======\n    queue_size =", 1
    ).replace("    queue_timeout =", ">>>>>>> theirs\n    queue_timeout =", 1)
    for remove in (False, True):
        (problem,) = planned(text, remove=remove).problems
        assert "both sides of a merge" in problem.reason
        assert text.splitlines()[problem.line - 1] == "<<<<<<< HEAD"


BRACKETS = {
    "return(session or requests).get(url)": "return(self._queued)((session or requests).get)(url)",
    "return(requests).get(url)": "return(self._queued)((requests).get)(url)",
    "x = 1 if(requests).get(url)else 2": "x = 1 if(self._queued)((requests).get)(url)else 2",
    "if not(requests).get(url):\n    pass": "if not(self._queued)((requests).get)(url)",
    "for _ in(requests).get(url):\n    pass": "for _ in(self._queued)((requests).get)(url)",
    "assert(requests).get(url)": "assert(self._queued)((requests).get)(url)",
    "x = [r for r in(requests).get(url)if r]": "in(self._queued)((requests).get)(url)if r",
    "x = lambda:(requests).get(url)": "lambda:self._queued((requests).get)(url)",
    "return(requests.get)(url)": "return(self._queued(requests.get))(url)",
    "return((session or requests).get)(url)": "return(self._queued((session or requests).get))(url)",
    "x = -(requests).get(url)": "x = -self._queued((requests).get)(url)",
    "return(\n    session or requests\n).get(url)": "return(self._queued)((\n",
}


@pytest.mark.parametrize("code", BRACKETS)
def test_C5_a_bracket_directly_behind_a_keyword(code):
    source = method(code, head="def call(self, url, session=None):")
    check_transformed(source, BRACKETS[code].replace("\n", "\n        "))


def test_C5_a_bracket_behind_await():
    check_transformed(
        client(
            "async def call(self, url):\n    return await(httpx.AsyncClient()).get(url)",
            imports="import httpx",
        ),
        "await(self._queued)((httpx.AsyncClient()).get)(url)",
    )


def test_a_bracketed_wrap_that_is_left_over_is_taken_out_too():
    source = method("return(session or requests).get(url)", head="def call(self, url, session=None):")
    wrapped = planned(source).after.decode()
    bare = re.sub(r"\n    # >>> .*?# <<< [^\n]*\n", "\n", wrapped, flags=re.DOTALL)
    assert "retrofit:queue" not in bare
    assert "return(session or requests).get(url)" in planned(bare, remove=True).after.decode()


def test_a_bracketed_wrap_with_a_comment_in_it_keeps_the_comment():
    source = method("return(session or requests).get(url)", head="def call(self, url, session=None):")
    wrapped = planned(source).after.decode()
    commented = wrapped.replace("(self._queued)(", "(self._queued)(  # why\n            ")
    removed = planned(commented, remove=True).after.decode()
    assert "# why" in removed
    assert "_queued" not in removed
    compile(removed, "client.py", "exec")
