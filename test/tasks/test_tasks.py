"""R18: `submit` on Celery, Dramatiq and Ray, each with its real workers, and the Redis of the shared limit."""

from __future__ import annotations

import base64
import contextlib
import importlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from test.loopback import LoopbackServer, Reply, Request
from test.shared.redis_process import MISSING, SERVER, RedisProcess
from test.shared.watching import InFlight

from .apis import LimitedApi, NamedApi, OtherApi, TaskApi, make_named

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"celery": "test.tasks.celery_app", "dramatiq": "test.tasks.dramatiq_broker"}
COMMANDS = {
    "celery": ["celery", "-A", MODULES["celery"], "worker", "--concurrency", "2", "--without-mingle"],
    "dramatiq": ["dramatiq", MODULES["dramatiq"], "--processes", "2", "--threads", "2"],
}
CANARY, WORKERS_KEY = "canary-4711", "key-of-the-worker"


class Place:
    """An API, an engine with its workers, and the queue that leads there."""

    def __init__(self, queue: Any, api: LoopbackServer, redis: RedisProcess | None) -> None:
        self.queue, self.api, self.redis = queue, api, redis

    def client(self, kind: type[TaskApi] = TaskApi) -> TaskApi:
        return kind(api_key=CANARY, submit_to=self.queue)


in_flight = InFlight()
hanging: SimpleQueue[int] = SimpleQueue()
"""Processes whose requests are not answered."""


def answer(request: Request) -> Reply:
    text = request.body.decode()
    if text == "limited":
        in_flight(0.02)
    elif text.startswith("hang in "):
        hanging.put(int(text.split()[-1]))
        time.sleep(60)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Reply(200, json.dumps([headers["authorization"], text]))


def _environment(api: LoopbackServer) -> dict[str, str]:
    return {"TASK_TEST_URL": api.url, "RUNTIME_TEST_KEY": WORKERS_KEY, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def _worker(engine: str) -> Iterator[None]:
    command = [str(Path(sys.executable).with_name(COMMANDS[engine][0])), *COMMANDS[engine][1:]]
    worker = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        worker.terminate()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, 9)


@pytest.fixture(scope="module", params=["celery", "dramatiq", "ray"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    engine = request.param
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    with pytest.MonkeyPatch.context() as patch, LoopbackServer(answer) as api:
        for name, value in _environment(api).items():
            patch.setenv(name, value)
        if engine == "ray":
            import ray

            from backend_retrofit_runtime.tasks import RayQueue

            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
            try:
                yield Place(RayQueue({TaskApi: TaskApi, NamedApi: make_named}), api, None)
            finally:
                ray.shutdown()
            return
        if SERVER is None:
            pytest.skip(MISSING)
        with RedisProcess() as redis:
            patch.setenv("TASK_TEST_REDIS", redis.url)
            with _worker(engine):
                module = importlib.import_module(MODULES[engine])
                yield Place(module.queue, api, redis)


def test_R18_a_worker_makes_the_request_with_a_key_of_its_own(place: Place) -> None:
    client = place.client()
    result = client.submit(client.ask, "hello", times=2).result(60)
    assert result["answer"] == [f"Bearer {WORKERS_KEY}", "hellohello"]
    assert result["pid"] != os.getpid()


def test_R18_map_keeps_the_order(place: Place) -> None:
    client = place.client()
    texts = [f"text {number}" for number in range(12)]
    assert [result["answer"][1] for result in client.map(client.ask, texts)] == texts


def test_R18_a_coroutine_method_runs_in_the_worker(place: Place) -> None:
    client = place.client()
    assert client.submit(client.aask, "hello").result(60) == "hello!"


def test_R18_an_error_comes_back(place: Place) -> None:
    client = place.client()
    with pytest.raises(Exception, match="no such model"):
        client.submit(client.fail).result(60)


def test_R18_a_result_that_cannot_travel_is_an_error(place: Place) -> None:
    client = place.client()
    with pytest.raises(Exception, match="results hold object, which cannot travel"):
        client.submit(client.session).result(60)


def test_R18_a_worker_serves_only_the_classes_that_it_was_given(place: Place) -> None:
    client = place.client(OtherApi)
    with pytest.raises(Exception, match="does not serve"):
        client.submit(client.ask, "hello").result(60)


def test_R18_a_worker_makes_the_instance_with_what_it_was_given_for_the_class(place: Place) -> None:
    client = place.client(NamedApi)
    assert client.submit(client.name).result(60) == "made for the worker"


def test_R18_the_workers_have_one_limit_where_they_share_a_queue(place: Place) -> None:
    if place.redis is None:
        pytest.skip("these workers have no Redis")
    client = LimitedApi(submit_to=place.queue, shared_queue="")
    seen: list[list[int]] = []
    while (
        len({pid for pid, _ in seen}) < 2 or seen[-1][1] != 2
    ):  # until both processes are known to the other
        assert len(seen) < 400
        seen += client.map(client.where, range(8))
    for _ in range(20):  # on a busy machine, one of the processes may take all requests of a round
        in_flight.peak = in_flight.calls = 0
        seen = list(client.map(client.where, range(40)))
        assert (in_flight.peak, in_flight.calls) == (1, 40)
        if len({pid for pid, _ in seen}) == 2:
            return
    pytest.fail("one of the processes took all requests of each round")


def test_R18_a_request_whose_worker_is_killed_fails(place: Place, request: pytest.FixtureRequest) -> None:
    if "dramatiq" in request.node.name:
        pytest.skip("Dramatiq ends as a whole, and what was lost is made again by the next one")
    client = place.client()
    future = client.submit(client.hang)
    os.kill(hanging.get(timeout=60), signal.SIGKILL)
    with pytest.raises(Exception, match=r"(?i)worker"):
        future.result(60)
    assert client.submit(client.ask, "on").result(60)["answer"][1] == "on"  # by another


def test_R18_a_result_that_never_comes_is_waited_for_no_longer_than_asked() -> None:
    celery = pytest.importorskip("celery")
    if SERVER is None:
        pytest.skip(MISSING)
    from backend_retrofit_runtime.tasks import CeleryQueue

    with RedisProcess() as redis:
        client = TaskApi(submit_to=CeleryQueue(celery.Celery("lost", broker=redis.url, backend=redis.url)))
        future = client.submit(client.ask, "nobody works here")
        with pytest.raises(TimeoutError):
            future.result(0.2)
        assert future.cancel()


def test_R18_ray_makes_nothing_with_what_cannot_be_imported() -> None:
    pytest.importorskip("ray")
    from backend_retrofit_runtime.tasks import RayQueue

    with pytest.raises(TypeError, match="cannot be imported by a worker"):
        RayQueue({TaskApi: lambda: TaskApi(api_key=CANARY)})


def test_R18_a_call_that_is_not_submitted_stays_in_the_process(place: Place) -> None:
    answered = place.client().ask("hello")
    assert (answered["answer"][0], answered["pid"]) == (f"Bearer {CANARY}", os.getpid())


def test_R18_no_key_is_in_the_broker(place: Place) -> None:
    if place.redis is None:
        pytest.skip("Ray has no broker that could be listened to")
    with place.redis.client().monitor() as monitor:
        client = place.client()
        assert (
            client.submit(client.ask, "hello of this test").result(60)["answer"][0] == f"Bearer {WORKERS_KEY}"
        )
        place.redis.client().echo("that was all")
        seen = list(iter(lambda: monitor.next_command()["command"], "ECHO that was all"))
    sent = "\n".join(seen)
    bodies = [base64.b64decode(body) for body in re.findall(r"body\W+([A-Za-z0-9+/]{40,}={0,2})", sent)]
    sent += "".join(body.decode() for body in bodies)  # as Celery encodes them
    assert "hello of this test" in sent
    assert CANARY not in sent


class Nowhere:
    """A queue that sends nothing: what is refused, is refused before."""

    def submit(self, owner: Any, call: Any, args: Any, kwargs: Any) -> Any:
        from backend_retrofit_runtime.tasks.travel import message_of

        return message_of(owner, call, args, kwargs)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (lambda api: api.submit(lambda: None), "only a method of the instance itself"),
        (lambda api: api.submit(TaskApi(api_key="").ask, "x"), "only a method of the instance itself"),
        (lambda api: api.submit(api._private), "not a public method"),
        (lambda api: api.submit(api.close), "not a public method"),
        (lambda api: api.submit(api.parts), "gives a stream"),
        (lambda api: api.submit(api.ask, b"bytes"), "hold bytes"),
        (lambda api: api.submit(api.ask, ("a", "tuple")), "hold tuple"),
        (lambda api: api.submit(api.ask, {1: "a"}), "hold dict"),
        (lambda api: api.submit(api.ask, [api]), "hold TaskApi"),
        (lambda api: api.submit(api.ask, "x", times=len), "hold builtin_function"),
    ],
)
def test_R18_what_cannot_travel_is_refused_at_submit(what: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        what(TaskApi(api_key=CANARY, submit_to=Nowhere()))


def test_R18_a_class_that_cannot_be_imported_is_refused() -> None:
    class Inner(TaskApi):
        pass

    client = Inner(api_key=CANARY, submit_to=Nowhere())
    with pytest.raises(TypeError, match="cannot be imported by a worker"):
        client.submit(client.ask, "x")


def test_R18_the_message_holds_a_path_a_name_and_the_arguments() -> None:
    client = TaskApi(api_key=CANARY, submit_to=Nowhere())
    message = client.submit(client.ask, "x", times=2)
    assert (
        json.loads(json.dumps(message)) == message == ["test.tasks.apis:TaskApi", "ask", ["x"], {"times": 2}]
    )


def test_R18_submit_to_must_be_a_queue() -> None:
    with pytest.raises((TypeError, ValueError), match="submit_to must be"):
        TaskApi(submit_to="redis://")
