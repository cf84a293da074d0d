"""gRPC: its codes are read (B2), a server's pushback is heeded (B4), a lost answer is judged by the method's name (B7)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from test.runtime.conftest import PATIENCE, Api, assert_at_rest, caller

grpc = pytest.importorskip("grpc")


class Stub:
    """What protoc makes of a service with these methods; messages are plain bytes."""

    def __init__(self, channel: Any) -> None:
        self.GetThing = channel.unary_unary("/shop.Shop/GetThing")
        self.MakeThing = channel.unary_unary("/shop.Shop/MakeThing")
        self.ListThings = channel.unary_stream("/shop.Shop/ListThings")
        self.SendThings = channel.stream_unary("/shop.Shop/SendThings")


class Server:
    """A gRPC server on 127.0.0.1 that fails as a request says: with the code that it names, `late`, or `once`."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.stopping = threading.Event()
        self.server = grpc.server(ThreadPoolExecutor(4))
        handlers = {
            "GetThing": grpc.unary_unary_rpc_method_handler(self.one),
            "MakeThing": grpc.unary_unary_rpc_method_handler(self.one),
            "ListThings": grpc.unary_stream_rpc_method_handler(self.many),
            "SendThings": grpc.stream_unary_rpc_method_handler(self.sum_up),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Shop", handlers),))
        self.target = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def one(self, request: bytes, context: Any) -> bytes:
        self.requests.append(request)
        if request == b"once":
            if len(self.requests) == 1:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", "7000"),))
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down")
        elif request == b"late":
            self.stopping.wait(60)
        elif request != b"ok":
            context.abort(grpc.StatusCode[request.decode()], "no")
        return b"1"

    def many(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield self.one(request, context)
        yield b"2"

    def sum_up(self, requests: Any, context: Any) -> bytes:
        return self.one(next(requests), context)


@pytest.fixture
def shop() -> Iterator[Server]:
    server = Server()
    yield server
    server.stopping.set()
    server.server.stop(0).wait(5)


@pytest.fixture
def stub(shop: Server) -> Iterator[Stub]:
    with grpc.insecure_channel(shop.target) as channel:
        yield Stub(channel)


@pytest.fixture
def api(delays: list[float]) -> Iterator[Api]:
    api = Api()
    yield api
    assert_at_rest(api)


@pytest.mark.parametrize("method", ["GetThing", "MakeThing"])
@pytest.mark.parametrize(
    ("code", "attempts"),
    [("UNAVAILABLE", 6), ("RESOURCE_EXHAUSTED", 6), ("INVALID_ARGUMENT", 1), ("PERMISSION_DENIED", 1), ("INTERNAL", 1)],
)  # fmt: skip
def test_B2_codes(api, shop, stub, method, code, attempts):
    with pytest.raises(grpc.RpcError) as caught:
        api.call(getattr(stub, method), code.encode())
    assert caught.value.code() is grpc.StatusCode[code]
    assert len(shop.requests) == attempts


@pytest.mark.parametrize(("method", "attempts"), [("GetThing", 3), ("MakeThing", 1)])
def test_B7_a_deadline_that_has_passed_is_judged_by_the_name_of_the_method(api, shop, stub, method, attempts):
    api.max_retries = 2
    with pytest.raises(grpc.RpcError) as caught:
        api.call(getattr(stub, method), b"late", timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(shop.requests) == attempts


def test_B7_a_stream_of_requests_is_not_sent_twice(api, shop, stub):
    with pytest.raises(grpc.RpcError):
        api.call(stub.SendThings, iter([b"UNAVAILABLE"]))
    assert len(shop.requests) == 1


def test_B7_what_was_never_sent_is_sent_again(api, delays):
    with grpc.insecure_channel("127.0.0.1:9") as channel, pytest.raises(grpc.RpcError):
        api.call(Stub(channel).MakeThing, b"ok")
    assert delays == [1, 2, 4, 8, 16]


def test_B4_the_pushback_of_a_server(api, shop, stub, delays):
    assert api.call(stub.GetThing, b"once") == b"1"
    assert delays == [7]


def test_the_answer_with_its_call(api, stub):
    answer, call = api.call(stub.GetThing.with_call, b"ok")
    assert answer == b"1"
    assert call.code() is grpc.StatusCode.OK


def test_S1_a_stream_of_answers_keeps_its_slot_and_is_retried_before_the_first(api, shop, stub, delays):
    assert [api.current_requests for _ in api.call(stub.ListThings, b"once")] == [1, 1]
    assert delays == [7]
    assert len(shop.requests) == 2


def test_A1_grpc_aio(api, shop, delays):
    async def go():
        async with grpc.aio.insecure_channel(shop.target) as channel:
            stub = Stub(channel)
            assert await api._queued(stub.GetThing)(b"once") == b"1"
            shop.requests.clear()
            held = [api.current_requests async for _ in api._queued(stub.ListThings)(b"once")]
            assert held == [1, 1]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await api._queued(stub.GetThing)(b"UNAVAILABLE")
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    caller(asyncio.run, go()).result(20)
    assert delays == [7, 7, 1, 2, 4, 8, 16]


def test_a_call_of_grpc_aio_that_is_used_by_itself_still_works(api, shop, caplog):
    """`call.read()`, `call.cancel()` and their like: such a call is made as without the retrofit, and that is said."""

    async def go():
        async with grpc.aio.insecure_channel(shop.target) as channel:
            stub = Stub(channel)
            call = api._queued(stub.ListThings)(b"ok")
            assert await call.read() == b"1"
            assert [item async for item in api._queued(stub.ListThings)(b"ok")] == [b"1", b"2"]
            call = api._queued(stub.GetThing)(b"ok")
            await call.initial_metadata()
            assert await call == b"1"

    caller(asyncio.run, go()).result(20)
    assert "`read`" in caplog.text
    assert "not queued" in caplog.text


def test_a_call_of_grpc_aio_has_its_methods_after_it_was_made_and_is_made_once(api, shop, caplog):
    async def go():
        async with grpc.aio.insecure_channel(shop.target) as channel:
            stub = Stub(channel)
            call = api._queued(stub.GetThing)(b"ok")
            assert await call == await call == b"1"
            assert await call.code() is grpc.StatusCode.OK
            assert call.done()
            assert len(shop.requests) == 1
            call = api._queued(stub.ListThings)(b"ok")
            assert [item async for item in call] == [b"1", b"2"]
            assert await call.code() is grpc.StatusCode.OK
            call = api._queued(stub.GetThing)(b"NOT_FOUND")
            with pytest.raises(grpc.RpcError):
                await call
            assert await call.code() is grpc.StatusCode.NOT_FOUND

    caller(asyncio.run, go()).result(20)
    assert "not queued" not in caplog.text


class Persistent(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, continuation, client_call_details, request):
        for _ in range(3):
            call = continuation(client_call_details, request)
            if call.code() is not grpc.StatusCode.UNAVAILABLE:
                break
        return call


class Passing(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, continuation, client_call_details, request):
        return continuation(client_call_details, request)


@pytest.mark.parametrize(
    ("interceptors", "wanted"), [((Persistent(),), 3), ((Passing(), Persistent()), 3), ((Passing(),), 6)]
)
def test_B10_an_interceptor_that_retries_is_not_retried_on_top(delays, shop, interceptors, wanted):
    with grpc.insecure_channel(shop.target) as channel:
        stub = Stub(grpc.intercept_channel(channel, *interceptors))
        with pytest.raises(grpc.RpcError):
            Api().call(stub.GetThing, b"UNAVAILABLE", timeout=PATIENCE)
    assert len(shop.requests) == wanted
