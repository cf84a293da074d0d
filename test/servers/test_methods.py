"""The backends against servers that others wrote: what a server has works, and it sees as many requests as we count."""

from __future__ import annotations

import json
import urllib.request

import pytest

from ipfs_accelerate_py.api_backends._request_engine import RequestEngine

from ..backends.cases import CASES, HELLO
from ..loopback import Reply
from .conftest import is_enhanced, made
from .gateway import Gateway
from .methods import OF_WHAT_IS_MADE, SERVERS, calls

pytestmark = pytest.mark.timeout(400)

FIXTURES = {name: name.lower().replace(".", "_") for name in SERVERS}
GROUPS = {"litellm": "llama.cpp", "oai2ollama": "llama.cpp"}  # They stand before it.
CALLS = [
    pytest.param(
        server, case, method, call,
        id=f"{server}-{case.name}.{method}", marks=pytest.mark.xdist_group(GROUPS.get(server, server)),
    )
    for server in SERVERS
    for case, method, call in calls(server)
]  # fmt: skip
ASKED_ONCE = ("health", "model_ready", "server_live", "server_ready")
"""What asks whether the server is well: no is an answer (B13)."""
OPENAI = next(case for case in CASES if case.name == "openai_api")


@pytest.fixture
def gateway(server, request):
    """A gateway in front of the server of that name."""
    with Gateway(request.getfixturevalue(FIXTURES[server])) as gateway:
        yield gateway


def test_all_that_is_said_of_the_servers_is_called_here():
    called = {(server, case.name, method) for server in SERVERS for case, method, _ in calls(server)}
    assert called == {
        (server, name, method)
        for server, backends in SERVERS.items()
        for name, methods in backends.items()
        for method in methods.split()
    }


@pytest.mark.parametrize(("server", "case", "method", "call"), CALLS)
def test_a_method_is_answered_and_its_requests_are_counted(server, case, method, call, load, gateway):
    api = made(server, case, load, gateway.url)
    assert call(api) not in (None, [], False)
    assert len(gateway.requests) == (2 if call in OF_WHAT_IS_MADE.values() else 1)
    if is_enhanced(api):
        stats = api.queue_stats()
        assert stats["requests"] == stats["sent"] == len(gateway.requests)
        assert (stats["retried"], stats["in_flight"]) == (0, 0)
    api.close()


@pytest.mark.parametrize(("server", "case", "method", "call"), CALLS)
def test_what_a_gateway_refuses_is_asked_for_once_more_by_the_enhanced_backend_alone(
    server, case, method, call, load, gateway
):
    api = made(server, case, load, gateway.url)
    gateway.script(Reply(503, {"error": {"message": "Overloaded"}}))
    if is_enhanced(api) and method not in ASKED_ONCE:
        with RequestEngine.testing():
            assert call(api) not in (None, [], False)
        stats = api.queue_stats()
        assert len(gateway.requests) == stats["sent"] == stats["requests"] + 1
    else:
        try:
            outcome = call(api)
        except case.fails(load(case.name)) as error:
            outcome = error.status
        assert outcome == (False if method in ASKED_ONCE else 503)
        assert len(gateway.requests) == 1
    api.close()


@pytest.mark.xdist_group("aimock")
@pytest.mark.parametrize("server", ["aimock"])
def test_the_servers_own_journal_has_as_many_requests_as_we_count(server, load, gateway, aimock):
    def journal():
        asked = urllib.request.Request(f"{aimock}/v1/_requests", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return len(json.load(answer))

    key = OPENAI.answers().KEY
    api = made(server, OPENAI, load, gateway.url)
    before = journal()
    for _ in range(3):
        assert api.chat("gpt-6-luna", HELLO)
        assert list(api.stream_response("gpt-6-luna", "Hello there"))
    assert journal() - before == len(gateway.requests) == 6
    if is_enhanced(api):
        assert api.queue_stats()["sent"] == 6
    api.close()


@pytest.mark.xdist_group("aimock")
@pytest.mark.parametrize("server", ["aimock"])
@pytest.mark.parametrize("case", [case for case in CASES if case.name in ("openai_api", "claude", "gemini")])
def test_a_wrong_key_is_refused_once_and_not_shown(server, case, load, gateway):
    api = made(server, case, load, gateway.url, key="canary-of-a-wrong-key")
    with pytest.raises(case.fails(load(case.name))) as caught:
        case.call(api)
    assert caught.value.status == 401
    assert "canary" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert len(gateway.requests) == 1
    api.close()


@pytest.mark.xdist_group("llama.cpp")
@pytest.mark.parametrize("server", ["litellm"])
def test_a_limit_of_requests_a_minute_is_met(server, load, gateway, request):
    """litellm answers the third request of a minute by 429, with `Retry-After`. A minute may end in between, once."""
    api = made(server, OPENAI, load, gateway.url, key=f"limited-{request.node.callspec.id}")
    refused = []
    with RequestEngine.testing():
        for _ in range(6):
            try:
                api.chat("gpt-6-luna", HELLO)
            except OPENAI.fails(load("openai_api")) as error:
                refused.append(error)
    if is_enhanced(api):
        stats = api.queue_stats()
        assert stats["retried"] >= 1
        assert len(gateway.requests) == stats["sent"]
    else:
        assert refused
        assert len(gateway.requests) == 6
    assert {error.status for error in refused} <= {429}
    assert all("Rate limit exceeded" in str(error) for error in refused)
    api.close()
