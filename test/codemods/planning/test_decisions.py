"""One decision about each call site, from what is known of it and of its class (C6)."""

import ast
from dataclasses import replace

import pytest

from backend_retrofit.codemods.finding.calls import Site
from backend_retrofit.codemods.model import Decision, Options
from backend_retrofit.codemods.planning.decisions import Home, decide

NODE = ast.parse("requests.get", mode="eval").body
PLAIN = Site(NODE, None, "self", "Client.call", None)
RETRIED = replace(PLAIN, note="already retried by a loop", retried=True)


def home(entry_point: str = "_queued", refused: str = "", defines: bool = True) -> Home:
    return Home(refused, entry_point, defines)


def wrapped(code: str, site: Site = PLAIN) -> Site:
    return replace(site, wrapper=ast.parse(code, mode="eval").body)


QUEUED = "self._queued(requests.get)"
NOT_RETRIED = "self._queued(requests.get, retry=False)"


@pytest.mark.parametrize(
    ("site", "at", "existing", "decision", "entry_point"),
    [
        (PLAIN, home(), "queue-only", Decision.WRAPPED, "_queued"),
        (PLAIN, home("_retried"), "queue-only", Decision.WRAPPED, "_retried"),
        (PLAIN, home(""), "queue-only", Decision.SKIPPED, ""),
        (PLAIN, home(refused="it is an Enum"), "queue-only", Decision.SKIPPED, ""),
        (PLAIN, None, "queue-only", Decision.SKIPPED, ""),
        (RETRIED, home(), "queue-only", Decision.QUEUED_ONLY, "_queued"),
        (RETRIED, home("_retried"), "queue-only", Decision.SKIPPED, ""),
        (RETRIED, home(), "skip", Decision.SKIPPED, ""),
        (RETRIED, home(), "wrap", Decision.WRAPPED, "_queued"),
        (wrapped(QUEUED), home(), "queue-only", Decision.WRAPPED, "_queued"),
        (wrapped(QUEUED, RETRIED), home(), "skip", Decision.WRAPPED, "_queued"),
        (wrapped(NOT_RETRIED), home(), "queue-only", Decision.QUEUED_ONLY, "_queued"),
        (wrapped(QUEUED), home("", defines=True), "queue-only", Decision.SKIPPED, ""),
        (wrapped(QUEUED), home("", defines=False), "queue-only", Decision.UNWRAPPED, ""),
        (replace(wrapped(QUEUED), stray=True), None, "queue-only", Decision.UNWRAPPED, ""),
    ],
)
def test_what_becomes_of_a_call(site, at, existing, decision, entry_point):
    decided = decide(site, at, Options(existing=existing))
    assert (decided.decision, decided.entry_point) == (decision, entry_point)


@pytest.mark.parametrize(
    ("site", "at", "existing", "calls"),
    [
        (PLAIN, home(), "queue-only", True),
        (PLAIN, home(""), "queue-only", True),  # for the env_key block alone
        (RETRIED, home(), "queue-only", True),
        (RETRIED, home("_retried"), "queue-only", False),
        (RETRIED, home(), "skip", False),
        (PLAIN, None, "queue-only", False),
    ],
)
def test_whether_a_class_is_to_have_blocks_because_of_a_call(site, at, existing, calls):
    assert decide(site, at, Options(existing=existing)).calls_for_blocks == calls
