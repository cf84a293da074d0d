"""Q8: submitted methods and functions, and readers of streams, that hand their work to threads or tasks: they end, and Q1 holds."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import requests
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from test.loopback import LoopbackServer, Reply
from test.runtime.conftest import Answer, Api, Flaky, Gated, assert_at_rest, caller, until
from test.runtime.processes import run_python


class Book(Api):
    """A backend whose methods hand their requests to threads and tasks."""

    def page(self, number):
        return self.call(self.send, number)

    def send(self, number):
        return number

    def chapter(self, count):
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(self.page, range(count)))

    def gathered(self, count):
        async def all_of_them():
            async with httpx.AsyncClient(timeout=30) as client:
                get = self._queued(client.get)
                return await asyncio.gather(*(get(self.url) for _ in range(count)))

        return [response.status_code for response in asyncio.run(all_of_them())]


@pytest.fixture
def book(server):
    server.app = lambda request: Reply(200, b"{}")
    book = Book()
    book.url = server.url
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=50))
    book.send = lambda number: session.get(server.url, timeout=30).status_code and number
    yield book
    session.close()
    book.close()


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_Q8_as_many_submitted_methods_as_may_run_each_map_over_a_pool(book, server, limit):
    book.max_concurrent_requests = limit
    futures = [book.submit(book.chapter, 4) for _ in range(limit)]
    assert [future.result(20) for future in futures] == [[0, 1, 2, 3]] * limit
    assert server.most_in_flight <= limit
    assert_at_rest(book)


def test_Q8_many_more_of_them_than_may_run(book, server):
    book.max_concurrent_requests, book.queue_full = 2, "wait"
    futures = [book.submit(book.chapter, 3) for _ in range(12)]
    assert [future.result(30) for future in futures] == [[0, 1, 2]] * 12
    assert server.most_in_flight <= 2
    assert_at_rest(book)


@pytest.mark.parametrize("limit", [1, 2])
def test_Q1_a_submitted_method_that_gathers_keeps_the_limit(book, server, limit):
    book.max_concurrent_requests = limit
    assert book.submit(book.gathered, 20).result(30) == [200] * 20
    assert server.most_in_flight <= limit
    assert_at_rest(book)


def test_Q1_several_that_gather_keep_it_together(book, server):
    book.max_concurrent_requests = 2
    futures = [book.submit(book.gathered, 8) for _ in range(4)]
    assert [future.result(30) for future in futures] == [[200] * 8] * 4
    assert server.most_in_flight <= 2
    assert_at_rest(book)


@pytest.mark.parametrize("limit", [1, 3])
def test_Q8_submitted_functions_that_map_over_a_pool_end(book, server, limit):
    """It is the function that is submitted, not a method: it is a request itself, until it is seen to wait for others."""
    book.max_concurrent_requests = limit

    def chapter():
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(book.page, range(4)))

    futures = [book.submit(chapter) for _ in range(limit)]
    assert [future.result(30) for future in futures] == [[0, 1, 2, 3]] * limit
    assert server.most_in_flight <= limit
    assert_at_rest(book)


def test_Q8_submitted_functions_that_join_threads_end(book):
    book.max_concurrent_requests = 1

    def chapter():
        threads = [threading.Thread(target=book.page, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "joined"

    assert book.submit(chapter).result(20) == "joined"
    assert_at_rest(book)


def test_Q1_a_submitted_function_that_is_a_request_keeps_its_slot_however_long_it_takes(api):
    api.max_concurrent_requests = 1
    gated = Gated()
    future = api.submit(gated)
    until(lambda: gated.now == 1)
    waiting = caller(api.call, gated)
    assert not threading.Event().wait(
        0.3
    )  # several times as long as what a method may take to its first request
    assert gated.most == 1
    assert api.current_requests == 1
    gated.end(2)
    future.result(5)
    waiting.result(5)


def test_Q8_a_submitted_method_that_takes_its_time_lets_others_go_first(api):
    class Slow(Api):
        def method(self):
            assert ready.wait(10)
            return self.call(len, "abc")

    ready = threading.Event()
    slow = Slow(max_concurrent_requests=1)
    future = slow.submit(slow.method)
    until(lambda: slow.current_requests == 1)
    assert caller(slow.call, len, "ab").result(5) == 2
    ready.set()
    assert future.result(5) == 3
    assert_at_rest(slow)


def test_Q2_the_requests_of_a_submitted_method_stand_at_its_place(api):
    ran = []

    class Paged(Api):
        def pages(self, name):
            for number in range(3):
                self.call(ran.append, f"{name}{number}")

    paged, gated = Paged(max_concurrent_requests=1), Gated()
    running = caller(paged.call, gated)
    until(lambda: gated.now == 1)
    futures = [paged.submit(paged.pages, name) for name in "ab"]
    late = caller(paged.call, ran.append, "late")
    until(lambda: len(paged.request_queue) == 3)
    gated.end()
    for future in (*futures, running, late):
        future.result(5)
    assert ran.index("a0") < ran.index("b0") < ran.index("late")


def test_Q4_the_requests_of_a_submitted_method_are_not_refused(api):
    class Paged(Api):
        def pages(self):
            return [self.call(abs, number) for number in range(3)]

    paged = Paged(max_concurrent_requests=1, queue_size=5)
    futures = [paged.submit(paged.pages) for _ in range(5)]
    assert [future.result(5) for future in futures] == [[0, 1, 2]] * 5
    assert paged.queue_stats()["refused"] == 0


def test_Q8_a_submitted_method_is_retried_by_its_requests_while_others_go_on(api):
    class Flaking(Api):
        def method(self, flaky):
            return self.call(flaky)

    flaking = Flaking(max_concurrent_requests=1, initial_retry_delay=0.05)
    futures = [flaking.submit(flaking.method, Flaky(Answer(503), Answer(503))) for _ in range(4)]
    assert [future.result(10) for future in futures] == ["done"] * 4
    assert_at_rest(flaking)


# Gathering within a request.


def test_Q1_what_is_gathered_within_a_request_has_its_slot_one_at_a_time(api):
    api.max_concurrent_requests = 1
    now = most = 0

    async def one(number):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return number

    async def handler():
        return await asyncio.gather(*(api.acall(one, n) for n in range(10)))

    assert asyncio.run(asyncio.wait_for(api.acall(handler), 10)) == list(range(10))
    assert most == 1
    assert_at_rest(api)


# Readers of open streams.


def streaming(server):
    """Let the server stream on `/stream` and answer at once elsewhere."""
    server.app = lambda request: (
        Reply(200, (b"part\n" for _ in range(3))) if request.path.startswith("/stream") else Reply(200, b"{}")
    )


def test_Q8_a_task_may_have_more_streams_open_than_may_run(server):
    api = Api(max_concurrent_requests=2)

    async def main():
        async with httpx.AsyncClient(timeout=20) as client, contextlib.AsyncExitStack() as stack:
            open_ones = [
                await stack.enter_async_context(api._queued(client.stream)("GET", server.url))
                for _ in range(5)
            ]
            last = await api._queued(client.get)(server.url)
            return last.status_code, [len(await response.aread()) > 0 for response in open_ones]

    assert asyncio.run(asyncio.wait_for(main(), 20)) == (200, [True] * 5)
    assert_at_rest(api)


def test_Q8_a_request_that_waits_since_before_the_streams_were_open_is_made_as_well():
    api = Api(max_concurrent_requests=2)
    go = threading.Event()

    def app(request):
        if request.path == "/held":
            go.wait(20)
        return Reply(200, b"x" * 1_000_000)

    with LoopbackServer(app) as server, requests.Session() as session:

        def opened():
            return api.call(session.get, f"{server.url}/held", stream=True)

        streams = [caller(opened) for _ in range(2)]
        until(lambda: len(server.requests) == 2)
        last = caller(api.call, session.get, server.url)
        until(lambda: api.request_queue)
        go.set()
        responses = [stream.result(15) for stream in streams]  # and nobody reads them
        assert last.result(15).status_code == 200
        for response in responses:
            response.close()
    assert_at_rest(api)


def test_Q8_readers_of_as_many_streams_as_may_run_that_fan_out_end(server):
    streaming(server)
    api = Api(max_concurrent_requests=3)
    opened = threading.Barrier(3)

    def read():
        parts = 0
        with requests.Session() as session, ThreadPoolExecutor(2) as pool:
            with api.call(session.get, f"{server.url}/stream", stream=True) as stream:
                for _ in stream.iter_lines():
                    if not parts:
                        opened.wait(10)
                    answers = pool.map(lambda _: api.call(requests.get, server.url).status_code, range(2))
                    assert list(answers) == [200, 200]
                    parts += 1
        return parts

    readers = [caller(read) for _ in range(3)]
    assert [reader.result(40) for reader in readers] == [3, 3, 3]
    assert server.most_in_flight <= 3 + 1, (
        "beside the streams, which nobody reads meanwhile, one request at a time"
    )
    assert_at_rest(api)


def test_Q1_a_stream_that_is_read_keeps_its_slot_for_itself(api):
    api.max_concurrent_requests = 1
    gated = Gated()

    def numbers():
        yield 0
        gated("item")
        yield 1

    stream = api.call(numbers)
    assert next(stream) == 0
    reading = caller(next, stream)
    until(lambda: gated.now == 1)
    waiting = caller(api.call, len, "abc")
    until(lambda: len(api.request_queue) == 1)
    assert not threading.Event().wait(2.5)  # longer than a stream must not have been read to serve others
    assert not waiting.done()
    gated.end()
    assert reading.result(5) == 1
    stream.close()
    assert waiting.result(5) == 3
    assert_at_rest(api)


# By the server's own count, whatever happens.


class Workload(RuleBasedStateMachine):
    """Starts requests of all kinds in any order; the server counts what is in flight."""

    @initialize(limit=st.integers(1, 3))
    def start(self, limit):
        self.server = LoopbackServer()
        self.server.__enter__()
        self.server.app = lambda request: Reply(200, b"{}")
        self.session = requests.Session()
        self.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=50))
        self.book = Book(max_concurrent_requests=limit, queue_full="wait", initial_retry_delay=0.001)
        self.book.url = self.server.url
        self.book.send = lambda number: self.session.get(self.server.url, timeout=30).status_code and number
        self.limit, self.most_allowed = limit, limit
        self.started = []

    @rule(count=st.integers(1, 4))
    def call(self, count):
        self.started += [caller(self.book.page, 7) for _ in range(count)]

    @rule(count=st.integers(1, 4))
    def submit_chapters(self, count):
        self.started.append(self.book.submit(self.book.chapter, count))

    @rule(count=st.integers(1, 6))
    def submit_gathered(self, count):
        self.started.append(self.book.submit(self.book.gathered, count))

    @rule(count=st.integers(1, 3))
    def submit_one_that_submits(self, count):
        def outer():
            return [
                future.result(30) for future in [self.book.submit(self.book.page, 1) for _ in range(count)]
            ]

        self.started.append(self.book.submit(outer))

    @rule(count=st.integers(1, 6))
    def map_items(self, count):
        self.started.append(caller(lambda: list(self.book.map(self.book.page, range(count)))))

    @rule()
    def failures(self):
        self.server.script(Reply(503, b"{}"))
        self.started.append(caller(self.book.page, 7))

    @rule(limit=st.integers(1, 3))
    def resize(self, limit):
        self.book.max_concurrent_requests = self.limit = limit
        self.most_allowed = max(self.most_allowed, limit)

    @rule()
    def wait_for_all(self):
        while self.started:
            self.started.pop().result(30)

    @invariant()
    def the_limit_holds(self):
        if hasattr(self, "server"):
            assert self.server.most_in_flight <= self.most_allowed

    def teardown(self):
        if hasattr(self, "server"):
            self.wait_for_all()
            self.the_limit_holds()
            assert_at_rest(self.book)
            self.book.close()
            self.session.close()
            self.server.__exit__(None, None, None)


TestWorkload = Workload.TestCase
TestWorkload.settings = settings(
    max_examples=12,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


STRESS = textwrap.dedent("""
    import asyncio, logging, random, sys, time
    from concurrent.futures import ThreadPoolExecutor
    from test.runtime.api import *
    sys.setswitchinterval(1e-6)
    logging.disable()
    lock, now, most = threading.Lock(), 0, 0
    def leaf(n):
        global now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0)
        with lock:
            now -= 1
        return Answer(503) if random.random() < 0.05 else n
    async def aleaf(n):
        global now, most
        with lock:
            now += 1
            most = max(most, now)
        await asyncio.sleep(0)
        with lock:
            now -= 1
        return n
    class Nest(Api):
        def page(self, n):
            return self.call(leaf, n)
        def pool(self, depth):
            with ThreadPoolExecutor(3) as pool:
                return list(pool.map(self.page, range(4)))
        def gather(self, depth):
            async def go():
                return await asyncio.gather(*(self.acall(aleaf, n) for n in range(6)))
            return asyncio.run(go())
        def deep(self, depth):
            return [self.page(1), self.submit(self.pool, 1).result(60), self.call(self.page, 1)]
    api = Nest(max_concurrent_requests=3, queue_full="wait", initial_retry_delay=0.0005)
    random.seed(1)
    def user(n):
        for _ in range(6):
            kind = random.choice([api.pool, api.gather, api.deep, api.page])
            if random.random() < 0.5:
                api.submit(kind, 1).result(60)
            else:
                kind(1)
        return n
    users = [caller(user, n) for n in range(12)]
    assert [one.result(100) for one in users] == list(range(12))
    assert_at_rest(api)
    print("within the limit", 1 <= most <= 3)
""")


def test_Q1_Q8_under_tiny_switch_intervals():
    assert run_python(STRESS, seconds=120) == "within the limit True\n"
