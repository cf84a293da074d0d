"""B10: one layer of retries, through every SDK and session that has some of its own: six requests, not eighteen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from functools import partial, wraps

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import groq
import httpx
import openai
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from backend_retrofit_runtime import RequestEngine
from test.loopback import LoopbackServer, Reply, Reset
from test.runtime.conftest import Answer, Api, Flaky, assert_at_rest, caller, closed_later

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def unavailable():
    """A server that always answers 503, and asks to come back in a millisecond (B10: exactly six requests)."""
    with LoopbackServer(lambda request: Reply(503, {"error": {"message": "overloaded"}})) as server:
        yield server


@pytest.fixture
def api(delays):
    api = Api()
    yield api
    assert_at_rest(api)
    assert delays == [1, 2, 4, 8, 16]


SDKS = {
    "openai": (openai.OpenAI, openai.AsyncOpenAI, "/v1", openai.APIStatusError),
    "anthropic": (anthropic.Anthropic, anthropic.AsyncAnthropic, "", anthropic.APIStatusError),
    "groq": (groq.Groq, groq.AsyncGroq, "", groq.APIStatusError),
}  # fmt: skip


def client_of(name, server, asynchronous=False, **options):
    sync, async_, path, _ = SDKS[name]
    if asynchronous:
        return async_(api_key="test-key", base_url=server.url + path, **options)
    return closed_later(sync(api_key="test-key", base_url=server.url + path, **options))


def create_of(name, client):
    return client.messages.create if name == "anthropic" else client.chat.completions.create


def arguments_of(name):
    return dict(CHAT, max_tokens=5) if name == "anthropic" else dict(CHAT)


@pytest.mark.parametrize("name", SDKS)
def test_B10_sdk(api, unavailable, name):
    client = client_of(name, unavailable, max_retries=9)
    with pytest.raises(SDKS[name][3]) as caught:
        api.call(create_of(name, client), **arguments_of(name))
    assert caught.value.status_code == 503
    assert len(unavailable.requests) == 6
    assert client.max_retries == 9, "the client itself is left as it was"


@pytest.mark.parametrize("name", SDKS)
def test_B10_async_sdk(api, unavailable, name):
    async def go():
        async with client_of(name, unavailable, asynchronous=True) as client:
            with pytest.raises(SDKS[name][3]):
                await api.acall(create_of(name, client), **arguments_of(name))

    caller(asyncio.run, go()).result(20)
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize("name", SDKS)
def test_B10_sdk_stream(api, unavailable, name):
    client = client_of(name, unavailable)
    with pytest.raises(SDKS[name][3]):
        api.call(create_of(name, client), stream=True, **arguments_of(name))
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize("name", SDKS)
@pytest.mark.parametrize("variant", ["with_raw_response", "with_streaming_response"])
def test_B10_sdk_raw_and_streaming_responses(api, unavailable, name, variant):
    client = client_of(name, unavailable)
    resource = getattr(client.messages if name == "anthropic" else client.chat.completions, variant)
    with pytest.raises(SDKS[name][3]):
        # A streaming response makes its request as it is entered.
        contextlib.ExitStack().enter_context(api._queued(resource.create)(**arguments_of(name)))
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize("name", SDKS)
def test_B10_async_sdk_streaming_response(api, unavailable, name):
    async def go():
        async with client_of(name, unavailable, asynchronous=True) as client:
            resource = client.messages if name == "anthropic" else client.chat.completions
            with pytest.raises(SDKS[name][3]):
                async with api._queued(resource.with_streaming_response.create)(**arguments_of(name)):
                    pass

    caller(asyncio.run, go()).result(20)
    assert len(unavailable.requests) == 6


def test_B10_anthropic_stream_manager(api, unavailable):
    client = client_of("anthropic", unavailable)
    with pytest.raises(anthropic.APIStatusError):
        with api.call(client.messages.stream, **arguments_of("anthropic")) as stream:
            stream.get_final_text()
    assert len(unavailable.requests) == 6


def test_B10_sdk_models_list(api, unavailable):
    client = client_of("openai", unavailable)
    with pytest.raises(openai.APIStatusError):
        api.call(client.models.list)
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize("status", [409, 505, 507])
@pytest.mark.parametrize("name", SDKS)
def test_B10_what_the_sdk_would_retry_is_retried(name, status, delays, server):
    api = Api()
    client = client_of(name, server)
    server.script(Reply(status), Reply(status, headers={"x-should-retry": "false"}))
    with pytest.raises(SDKS[name][3]):
        api.call(client.models.list)
    assert len(server.requests) == 2
    assert delays == [1]


@pytest.mark.parametrize(
    ("status", "options"), [(501, {}), (409, {"max_retries": 0}), (409, {"x-should-retry": "false"})]
)
def test_B2_a_final_status_stays_final_where_the_sdk_would_not_retry_it(status, options, delays, server):
    headers = {name: value for name, value in options.items() if name.startswith("x-")}
    server.app = lambda request: Reply(status, headers=headers)
    client = client_of(
        "openai", server, **{name: value for name, value in options.items() if name not in headers}
    )
    with pytest.raises(openai.APIStatusError):
        Api().call(client.models.list)
    assert len(server.requests) == 1
    assert delays == []


def test_B2_cohere_would_retry_a_conflict(delays, server):
    cohere = pytest.importorskip("cohere")
    client = cohere.ClientV2(api_key="test-key", base_url=server.url)
    server.script(Reply(409), Reply(400))
    with pytest.raises(cohere.core.api_error.ApiError) as caught:
        Api().call(client.chat, model="m", messages=[{"role": "user", "content": "hello"}])
    assert caught.value.status_code == 400
    assert delays == [1]


def test_B3_what_a_hook_raises_inside_an_sdk_is_no_lost_connection(delays, server):
    def refuse(request):
        raise PermissionError("the budget is spent")

    client = client_of(
        "openai", server, http_client=httpx.Client(event_hooks={"request": [refuse]}), max_retries=0
    )
    with pytest.raises(
        (openai.APIConnectionError, PermissionError)
    ):  # the newest versions put nothing around it
        Api().call(client.models.list)
    assert delays == []


def test_B10_sdk_connection_errors(api, server):
    """No answer at all: the SDK wraps what its transport raised."""
    server.app = lambda request: Reset()
    client = client_of("openai", server)
    with pytest.raises(openai.APIConnectionError):
        api.call(client.chat.completions.create, **CHAT)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("legacy", "client"),
        ("standard", "client"),
        ("standard", "resource's client"),
        ("standard", "resource"),
    ],
)
def test_B10_boto3(api, unavailable, mode, kind):
    options = {
        "endpoint_url": unavailable.url, "region_name": "us-east-1", "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "config": botocore.config.Config(retries={"mode": mode, "max_attempts": 4}, s3={"addressing_style": "path"}),
    }  # fmt: skip
    session = boto3.session.Session()
    if kind == "client":
        call = session.client("s3", **options).list_buckets
    elif kind == "resource":
        call = session.resource("s3", **options).Object("bucket", "key").delete
    else:
        call = session.resource("s3", **options).meta.client.list_buckets
    with pytest.raises(botocore.exceptions.ClientError):
        api.call(call)
    assert len(unavailable.requests) == 6


def mounted(total=3):
    """A session whose adapter has a mere count."""
    session = closed_later(requests.Session())
    session.mount("http://", HTTPAdapter(max_retries=Retry(total)))
    return session


@pytest.mark.parametrize("how", ["get", "request"])
def test_B10_requests_session_with_retry_adapter(api, unavailable, how):
    unavailable.app = lambda request: Reset()
    session = mounted()
    call = session.get if how == "get" else partial(session.request, "GET")
    with pytest.raises(requests.ConnectionError):
        api.call(call, unavailable.url)
    assert len(unavailable.requests) == 6
    assert session.get_adapter(unavailable.url).max_retries.total == 3, "the session itself is left as it was"


def test_B10_a_retry_adapter_that_is_mounted_between_two_requests_is_seen(delays, unavailable):
    unavailable.app = lambda request: Reset()
    api, session = Api(), closed_later(requests.Session())
    for times in (1, 2):
        with pytest.raises(requests.ConnectionError):
            api.call(session.get, unavailable.url)
        assert len(unavailable.requests) == 6 * times
        session.mount("http://", mounted().adapters["http://"])


def test_B10_a_session_is_not_taken_for_another_one_with_the_same_methods(delays, unavailable):
    unavailable.app = lambda request: Reset()
    api = Api()
    for times, session in enumerate((requests.Session(), mounted(), requests.Session(), mounted()), 1):
        with pytest.raises(requests.ConnectionError):
            api.call(session.get, unavailable.url)
        assert len(unavailable.requests) == 6 * times


def test_B10_what_a_session_notes_on_itself_during_a_call_stays_noted(server):
    class Session(requests.Session):
        asked = 0

        def get(self, url, **kwargs):
            self.asked += 1
            return super().get(url, **kwargs)

    session, api = closed_later(Session()), Api()
    session.mount("http://", HTTPAdapter(max_retries=3))
    for _ in range(2):
        assert api.call(session.get, server.url).status_code == 200
    assert session.asked == 2
    assert session.adapters["http://"].max_retries.total == 3


# What the owner has written stays.


class Patient(Retry):
    """A policy by its class alone."""


POLICIES = {
    "statuses": Retry(2, status_forcelist=[403, 503], backoff_factor=0),
    "methods": Retry(2, allowed_methods={"GET"}),
    "a backoff": Retry(2, backoff_factor=0.001),
    "a class": Patient(2),
    "statuses and no count": Retry(total=None, connect=2, read=2, status=2, status_forcelist=[503]),
    "statuses, not retried": Retry(0, status_forcelist=[503]),
    "the last response as it is": Retry(2, status_forcelist=[503], raise_on_status=False),
}


def seen_by(server, call):
    """Make a call; return what came of it, and how many requests the server saw."""
    server.requests.clear()
    try:
        outcome = getattr(call(), "status_code", None) or "done"
    except Exception as error:
        outcome = type(error), *(str(error).split("(")[:1])
    return outcome, len(server.requests)


FAULTS = {
    "403": Reply(403),
    "503": Reply(503),
    "Retry-After": Reply(503, headers={"Retry-After": "0"}),
    "reset": Reset(),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("policy", POLICIES)
def test_B10_a_policy_of_a_sessions_owner_stays(delays, server, policy, fault):
    """Statuses, counts and the final exception are as they are without the queue."""
    server.app = lambda request: FAULTS[fault]
    api, session = Api(), closed_later(requests.Session())
    session.mount("http://", HTTPAdapter(max_retries=POLICIES[policy]))
    plain, ours = (
        seen_by(server, lambda get=get: get(server.url)) for get in (session.get, api._queued(session.get))
    )
    assert plain == ours
    assert not delays


@pytest.mark.parametrize("where", ["manager", "call"])
@pytest.mark.parametrize("policy", POLICIES)
def test_B10_a_policy_of_a_pools_owner_stays(delays, server, policy, where):
    server.app = lambda request: FAULTS["503"]
    retries = {"retries": POLICIES[policy]}
    api, manager = Api(), urllib3.PoolManager(**(retries if where == "manager" else {}))
    kwargs = retries if where == "call" else {}
    plain, ours = (
        seen_by(server, lambda request=request: request("GET", server.url, **kwargs))
        for request in (manager.request, api._queued(manager.request))
    )
    assert plain == ours
    assert not delays


@pytest.mark.parametrize("how", ["url", "method and url", "url as keyword", "prepared"])
def test_B10_of_several_adapters_the_one_for_the_url_decides(delays, server, how):
    session = closed_later(requests.Session())
    session.mount(f"{server.url}/own", HTTPAdapter(max_retries=POLICIES["statuses"]))
    api = Api()

    def ask(path):
        url = f"{server.url}/{path}"
        if how == "url":
            return api.call(session.get, url)
        if how == "method and url":
            return api.call(session.request, "GET", url)
        if how == "url as keyword":
            return api.call(session.request, method="GET", url=url)
        return api.call(session.send, session.prepare_request(requests.Request("GET", url)))

    server.app = lambda request: Reply(503)
    assert seen_by(server, lambda: ask("own"))[1] == 3
    assert seen_by(server, lambda: ask("other")) == (503, 6)


def test_B10_adaptive_retries_of_botocore_stay(delays, server):
    """They are no mere count: they pace the requests as well."""
    server.app = lambda request: Reply(503)
    retries = {"mode": "adaptive", "total_max_attempts": 2}
    s3 = closed_later(
        boto3.client(
            "s3", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
            aws_secret_access_key="test", config=botocore.config.Config(retries=retries),
        )
    )  # fmt: skip
    api = Api()
    plain, ours = (seen_by(server, call) for call in (s3.list_buckets, api._queued(s3.list_buckets)))
    assert plain == ours
    assert plain[1] == 2


def test_B10_an_error_of_botocore_says_nothing_of_retries_that_were_not_made(delays, unavailable):
    s3 = closed_later(
        boto3.client(
            "s3", endpoint_url=unavailable.url, region_name="us-east-1", aws_access_key_id="test",
            aws_secret_access_key="test",
        )
    )  # fmt: skip
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        Api().call(s3.list_buckets)
    assert "max retries" not in str(caught.value)


def test_B10_delays_and_statuses_of_genai_stay(delays, server):
    genai = pytest.importorskip("google.genai")
    server.app = lambda request: Reply(
        503, {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    )
    options = {"attempts": 3, "initial_delay": 0.001, "max_delay": 0.001}
    api = Api()
    for client_options, call_options in ((options, None), (None, options)):
        client = closed_later(
            genai.Client(
                api_key="test-key", http_options={"base_url": server.url, "retry_options": client_options}
            )
        )
        config = {"http_options": {"retry_options": call_options}} if call_options else None
        ask = partial(client.models.generate_content, model="m", contents="x", config=config)
        assert seen_by(server, api._queued(ask))[1] == 3


def test_B10_a_policy_of_mistral_stays(delays, server):
    mistralai = pytest.importorskip("mistralai.client")
    utils = pytest.importorskip("mistralai.client.utils")
    policy = utils.RetryConfig("backoff", utils.BackoffStrategy(1, 1, 1.0, 60_000), True)
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    done = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }
    api = Api()
    for client_policy, call_policy in ((policy, {}), (None, {"retries": policy})):
        server.script(Reply(503), Reply(503), Reply(200, done))
        client = mistralai.Mistral(api_key="test-key", server_url=server.url, retry_config=client_policy)
        assert seen_by(server, lambda c=client, p=call_policy: api.call(c.chat.complete, **CHAT, **p)) == (
            "done",
            3,
        )
    assert not delays


# What has no switch is queued only.


def test_B10_instructor_retries_by_itself(delays, unavailable):
    instructor = pytest.importorskip("instructor")
    pydantic = pytest.importorskip("pydantic")
    unavailable.app = lambda request: Reply(503, {"error": {"message": "busy"}}, {"retry-after-ms": "1"})
    answer = pydantic.create_model("Answer", text=(str, ...))
    made = {
        "from_openai": instructor.from_openai(client_of("openai", unavailable)),
        "patch": instructor.patch(client_of("openai", unavailable)),
    }
    api = Api()
    for client in made.values():
        create = client.chat.completions.create
        ask = partial(create, response_model=answer, max_retries=2, **CHAT)
        plain, ours = (seen_by(unavailable, call) for call in (ask, api._queued(ask)))
        assert plain == ours
        assert not delays


def test_B10_functions_that_a_retrying_library_has_wrapped(delays, unavailable):
    tenacity = pytest.importorskip("tenacity")

    @tenacity.retry(stop=tenacity.stop_after_attempt(3), reraise=True)
    def get():
        response = requests.get(unavailable.url)
        response.raise_for_status()

    with pytest.raises(requests.HTTPError):
        Api().call(get)
    assert len(unavailable.requests) == 3


def test_B10_an_adapter_that_sends_through_an_sdk(delays, unavailable):
    """The SDK's client is out of our reach there."""
    unavailable.app = lambda request: Reply(503, {"error": {"message": "busy"}}, {"retry-after-ms": "1"})

    class Adapter(requests.adapters.BaseAdapter):
        def __init__(self, client):
            super().__init__()
            self.client = client

        def send(self, request, **kwargs):
            return self.client.models.list()

        def close(self):
            pass

    session = closed_later(requests.Session())
    session.mount("http://", Adapter(client_of("openai", unavailable, max_retries=1)))
    session.mount("https://", session.adapters["http://"])
    with pytest.raises(openai.APIStatusError):
        Api().call(session.get, unavailable.url)
    assert len(unavailable.requests) == 2


def test_B10_a_method_of_a_session_works_on_what_has_no_adapters():
    api = Api()

    class Session(requests.Session):
        def ping(self):
            return "pong"

    class Other:
        ping = Session.ping

    assert [api.call(thing.ping) for thing in (Session(), Session(), Other(), Session())] == ["pong"] * 4


def test_B10_requests_session_keeps_its_connections_and_cookies(server):
    api, session = Api(), mounted()
    server.app = lambda request: Reply(200, headers={"Set-Cookie": "a=b"})
    for _ in range(3):
        api.call(session.get, server.url)
    assert session.cookies["a"] == "b"
    pools = session.get_adapter(server.url).poolmanager.pools
    (pool,) = [pools[key] for key in pools.keys()]  # noqa: SIM118 - not a mapping
    assert pool.num_connections == 1
    assert pool.num_requests == 3


@pytest.mark.parametrize(
    "retries", [None, Retry(3), Retry(total=None, status=2), 4], ids=["default", "Retry", "by kind", "int"]
)
@pytest.mark.parametrize("where", ["manager", "call"])
@pytest.mark.parametrize("asked", [{}, {"Retry-After": "1"}], ids=["", "Retry-After"])
def test_B10_urllib3_pool_manager(delays, unavailable, retries, where, asked):
    unavailable.app = lambda request: Reply(503, headers=asked)
    manager = urllib3.PoolManager(**({"retries": retries} if where == "manager" else {}))
    api = Api()
    response = api.call(
        manager.request, "GET", unavailable.url, **({"retries": retries} if where == "call" else {})
    )
    assert response.status == 503
    assert len(unavailable.requests) == 6
    assert_at_rest(api)


def test_B10_urllib3_still_follows_redirects(server):
    server.script(Reply(302, headers={"Location": "/there"}))
    response = Api().call(urllib3.PoolManager().request, "GET", server.url)
    assert response.status == 200
    assert [request.path for request in server.requests] == ["/", "/there"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_B10_httpx_with_transport_retries(api, unavailable, asynchronous):
    if asynchronous:

        async def go():
            async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3)) as client:
                return await api.acall(client.get, unavailable.url)

        response = caller(asyncio.run, go()).result(20)
    else:
        with httpx.Client(transport=httpx.HTTPTransport(retries=3)) as client:
            response = api.call(client.get, unavailable.url)
    assert response.status_code == 503
    assert len(unavailable.requests) == 6


def test_B10_httpx_transport_retries_do_not_multiply_refused_connections(api, monkeypatch):
    attempts = []
    connect = socket.create_connection

    def counted(*args, **kwargs):
        attempts.append(1)
        return connect(*args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", counted)
    with httpx.Client(transport=httpx.HTTPTransport(retries=1)) as client:
        with pytest.raises(httpx.ConnectError):
            api.call(client.get, "http://127.0.0.1:9/")
    assert len(attempts) == 6


def test_B10_an_httpx_transport_that_was_exchanged_is_looked_at(api, server, monkeypatch):
    attempts = []
    connect = socket.create_connection

    def counted(*args, **kwargs):
        attempts.append(1)
        return connect(*args, **kwargs)

    with httpx.Client() as client:
        assert api.call(client.get, server.url).status_code == 200
        client._transport.close()
        client._transport = httpx.HTTPTransport(retries=1)
        monkeypatch.setattr(socket, "create_connection", counted)
        with pytest.raises(httpx.ConnectError):
            api.call(client.get, "http://127.0.0.1:9/")
    assert len(attempts) == 6


def test_B10_without_our_backoff_the_sdk_keeps_its_own(unavailable):
    """A class that was given the queue alone: nothing is turned off that nothing replaces."""

    class QueueOnly:
        queue_enabled = RequestEngine.setting(True)
        max_concurrent_requests = RequestEngine.setting(5)
        queue_size = RequestEngine.setting(100)
        _queued = RequestEngine.entry_point()

    client = client_of("openai", unavailable, max_retries=1)
    with pytest.raises(openai.APIStatusError):
        QueueOnly()._queued(client.chat.completions.create)(**CHAT)
    assert len(unavailable.requests) == 2


def test_B10_what_cannot_be_turned_off_is_said_once_and_queued_only(delays, unavailable, caplog):
    """Somebody has put a function of their own around a method of the SDK."""
    unavailable.app = lambda request: Reply(503, {"error": {"message": "busy"}}, {"retry-after-ms": "1"})
    client = client_of("openai", unavailable, max_retries=1)

    class Traced:
        def __init__(self, method):
            self.method = self.__wrapped__ = method
            self.__name__ = method.__name__

        def __call__(self, *args, **kwargs):
            return self.method(*args, **kwargs)

    api = Api()
    caplog.set_level(logging.WARNING)
    for times in (1, 2):
        with pytest.raises(openai.APIStatusError):
            api.call(Traced(client.chat.completions.create), **CHAT)
        assert len(unavailable.requests) == 2 * times
    said = [
        record.getMessage() for record in caplog.records if "could not be turned off" in record.getMessage()
    ]
    assert len(said) == 1
    assert "max_retries=0" in said[0]


def test_B10_a_function_around_a_method_is_called_with_it(api, unavailable):
    """As tools that trace do it: `functools.wraps`, and the method in a closure."""
    client, traced = client_of("openai", unavailable), []
    method = client.chat.completions.create

    @wraps(method)
    def create(*args, **kwargs):
        traced.append(1)
        return method(*args, **kwargs)

    with pytest.raises(openai.APIStatusError):
        api.call(create, **CHAT)
    assert len(unavailable.requests) == len(traced) == 6


def test_B10_a_partial_of_an_sdks_method(api, unavailable):
    client = client_of("openai", unavailable)
    with pytest.raises(openai.APIStatusError):
        api.call(partial(client.chat.completions.create, model="m"), messages=CHAT["messages"])
    assert len(unavailable.requests) == 6


@pytest.mark.parametrize(("method", "attempts"), [("get", 6), ("post", 1)])
def test_B7_a_partial_is_judged_by_what_it_calls(delays, server, method, attempts):
    server.app = lambda request: Reset()
    with pytest.raises(requests.ConnectionError):
        Api().call(partial(getattr(requests, method), timeout=5), server.url)
    assert len(server.requests) == attempts


# A function that makes requests of the backend is not made again on top of them.


@pytest.mark.parametrize("how", ["method", "partial", "lambda"])
def test_B10_a_submitted_function_that_calls_the_backend(how, unavailable):
    class Client(Api):
        def get(self):
            return self.call(requests.get, unavailable.url)

    client = Client(initial_retry_delay=0, max_retries=5)
    functions = {
        "method": client.get,
        "partial": partial(client.call, requests.get, unavailable.url),
        "lambda": lambda: client.get(),
    }
    assert client.submit(functions[how]).result(15).status_code == 503
    assert len(unavailable.requests) == 6
    assert_at_rest(client)


def test_B10_an_async_function_that_calls_the_backend(unavailable):
    client = Api(initial_retry_delay=0)

    async def go():
        async with httpx.AsyncClient() as session:

            async def twice():
                return await client.acall(session.get, unavailable.url)

            return await client.acall(twice)

    assert asyncio.run(asyncio.wait_for(go(), 20)).status_code == 503
    assert len(unavailable.requests) == 6
    assert_at_rest(client)


def test_B1_a_function_is_retried_for_a_failure_of_its_own_after_a_request_that_went_well(server):
    api = Api(initial_retry_delay=0)
    outcomes = [Answer(503), Answer(503), Answer(200)]

    def function():
        assert api.call(requests.get, server.url).status_code == 200
        return outcomes.pop(0)

    assert api.submit(function).result(15).status_code == 200
    assert len(server.requests) == 3
    assert_at_rest(api)


def test_B1_a_listener_whose_own_request_fails_ends_no_retries(monkeypatch):
    api = Api(initial_retry_delay=0)

    def hear(event):
        with pytest.raises(ValueError, match="not found"):
            api.call(Flaky(ValueError("not found")))

    monkeypatch.setattr(RequestEngine, "listeners", [hear])
    call = Flaky(Answer(503), Answer(503))
    assert api.call(call) == "done"
    assert call.calls == 3
    assert_at_rest(api)


class LateSession(requests.Session):
    """A session that is none until it is opened."""

    def __init__(self):
        pass

    def open(self):
        super().__init__()
        self.mount("http://", HTTPAdapter(max_retries=2))

    def get_page(self, url):
        return self.get(url) if "adapters" in vars(self) else "not open"


def test_B10_an_object_that_becomes_a_session_is_looked_at_again(api):
    session = LateSession()
    assert api.call(session.get_page, "http://127.0.0.1/") == "not open"
    session.open()
    with LoopbackServer(lambda request: Reset()) as server:
        with pytest.raises(requests.ConnectionError):
            api.call(session.get_page, server.url)
        assert len(server.requests) == 6
    session.close()


# A hook that sends again


class Session(requests.Session):
    """A session whose hooks are methods, one of them with a helper."""

    def once_more(self, response, **kwargs):
        if response.status_code >= 500 and "X-Again" not in response.request.headers:
            return self.again(response, **kwargs)
        return response

    def again(self, response, **kwargs):
        response.request.headers["X-Again"] = "1"
        return self.send(response.request, **kwargs)

    def after_login(self, response, **kwargs):
        if response.status_code == 401:
            response.request.headers["Authorization"] = "Bearer new"
            return self.send(response.request, **kwargs)
        return response

    def log(self, response, **kwargs):
        self.seen = [*getattr(self, "seen", ()), response.request.url]

    def __init__(self, hook, how):
        super().__init__()
        self.one = {} if how == "session" else {"hooks": {"response": getattr(self, hook)}}
        if how == "session":
            self.hooks["response"].append(getattr(self, hook))


@pytest.mark.parametrize("how", ["session", "request"])
@pytest.mark.parametrize(("hook", "wanted"), [("once_more", 2), ("after_login", 6), ("log", 6)])
def test_B10_a_hook_that_sends_again_what_failed_is_the_one_layer(delays, unavailable, hook, wanted, how):
    session = closed_later(Session(hook, how))
    assert Api().call(session.get, unavailable.url, **session.one).status_code == 503
    assert len(unavailable.requests) == wanted


def test_B10_a_connection_that_fails_where_a_hook_sends_again_is_retried_by_us(delays, unavailable):
    """Without a response, requests calls no hook."""
    unavailable.app = lambda request: Reset()
    session = closed_later(Session("once_more", "session"))
    with pytest.raises(requests.ConnectionError):
        Api().call(session.get, unavailable.url)
    assert len(unavailable.requests) == 6


class Flow(httpx.Auth):
    """Sends again what failed with one of these statuses, twice at most."""

    def __init__(self, *statuses):
        self.statuses = statuses

    def auth_flow(self, request):
        for _ in range(3):
            response = yield request
            if response.status_code not in self.statuses:
                break


@pytest.mark.parametrize("how", ["client", "request", "async"])
@pytest.mark.parametrize(("statuses", "wanted"), [((503,), 3), ((401,), 6)])
def test_B10_an_auth_flow_that_sends_again_what_failed_is_the_one_layer(
    delays, unavailable, statuses, wanted, how
):
    async def go():
        async with httpx.AsyncClient(auth=Flow(*statuses)) as client:
            return await Api().acall(client.get, unavailable.url)

    if how == "async":
        answer = caller(asyncio.run, go()).result(20)
    else:
        auth = {"auth": Flow(*statuses)}
        with httpx.Client(**(auth if how == "client" else {})) as client:
            answer = Api().call(client.get, unavailable.url, **(auth if how == "request" else {}))
    assert answer.status_code == 503
    assert len(unavailable.requests) == wanted


def test_B10_an_auth_flow_that_logs_in_first_is_retried(delays, unavailable):
    answers = [Reply(401), *[Reply(503)] * 20]
    unavailable.app = lambda request: answers.pop(0)
    with httpx.Client(auth=Flow(401)) as client:
        assert Api().call(client.get, unavailable.url).status_code == 503
    assert len(unavailable.requests) == 7
