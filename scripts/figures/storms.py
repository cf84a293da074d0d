"""What becomes of 64 callers when the server refuses: time, requests that were refused, calls that failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openai
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from .others import ATTEMPTS, FifoGate, behind_semaphore, with_tenacity
from .retrofit import PlainClient, retrofitted
from .rows import Check, Row, shown
from .server import Behaviour, Server, running_server

CALLERS, LIMIT = 64, 5
Call = Callable[[str], Any]


@dataclass(frozen=True)
class Outcome:
    """What a storm came to; `seconds` from the first call to the end of the last."""

    seconds: float
    requests: int
    refused: int
    failed: int


def pooled_session(retry: Retry | int = 0) -> requests.Session:
    """Return a session with a connection for each caller."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=CALLERS, max_retries=retry))
    return session


def plain(url: str) -> Call:
    """Return a call of the client as it was: what is refused has failed."""
    return PlainClient(pooled_session()).get


def _ours(url: str) -> Call:
    client = retrofitted()(pooled_session())
    client.queue_size = CALLERS
    return client.get  # type: ignore[no-any-return]


def _bare_gate(url: str) -> Call:
    gate, session = FifoGate(LIMIT), pooled_session()

    def call(url: str) -> Any:
        with gate:
            return session.get(url)

    return call


def _urllib3_retry(url: str) -> Call:
    retry = Retry(ATTEMPTS - 1, backoff_factor=1, status_forcelist=[429, 503], raise_on_status=False)
    return pooled_session(retry).get


def _tenacity(url: str) -> Call:
    return with_tenacity(pooled_session().get, full_jitter=True)


def _sdk(url: str) -> Call:
    client = openai.OpenAI(api_key="test-key", base_url=url)
    return lambda url: client.get(url, cast_to=object)


def _semaphore_and_sdk(url: str) -> Call:
    return behind_semaphore(_sdk(url), LIMIT)


WAYS: dict[str, Callable[[str], Call]] = {
    "ours": _ours,
    "bare FIFO gate": _bare_gate,
    "BoundedSemaphore + openai SDK": _semaphore_and_sdk,
    "openai SDK": _sdk,
    "urllib3 Retry": _urllib3_retry,
    "tenacity, full jitter": _tenacity,
}


def storm(server: Server, call: Call, each: int, callers: int = CALLERS) -> Outcome:
    """Let this many threads make `each` requests one after the other; the server knows already how to behave."""
    failed: list[Any] = []
    ready = threading.Barrier(callers + 1)

    def caller() -> None:
        ready.wait()
        for _ in range(each):
            try:
                answer = call(f"{server.url}/v1/models/x")
                if getattr(answer, "status_code", 200) >= 400:
                    failed.append(answer.status_code)
            except (openai.OpenAIError, requests.RequestException) as error:
                failed.append(error)

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    facts = server.facts()
    return Outcome(seconds, facts["requests"], facts["refused"], len(failed))


def _ideal(server: Server, total: int) -> float:
    """Return how long five threads take that share the requests, with no queue: nobody can be faster."""
    return storm(server, pooled_session().get, total // LIMIT, LIMIT).seconds


def _measured(
    server: Server, behaviour: Behaviour, each: int, rounds: int
) -> tuple[float, dict[str, Outcome]]:
    """Return the ideal time, and of each way the quickest of its rounds."""
    ideal, outcomes = float("inf"), {}
    for _ in range(rounds):
        server.behave(Behaviour(seconds=behaviour.seconds))
        ideal = min(ideal, _ideal(server, CALLERS * each))
        for name, way in WAYS.items():
            server.behave(behaviour)
            outcome = storm(server, way(server.url), each)
            if name not in outcomes or outcome.seconds < outcomes[name].seconds:
                outcomes[name] = outcome
    return ideal, outcomes


def _row(
    key: str, what: str, ideal: float, outcomes: dict[str, Outcome], slowest: float, most_refused: float
) -> Row:
    ours = outcomes["ours"]
    return Row(
        key,
        what,
        "time ÷ ideal",
        {name: outcome.seconds / ideal for name, outcome in outcomes.items()},
        [
            Check("time ÷ ideal", ours.seconds / ideal, "≤", slowest),
            Check("refused, %", 100 * ours.refused / (CALLERS * 20), "≤", most_refused),
            Check("failed calls", ours.failed, "=", 0),
        ],
        {
            name: f"{shown(100 * outcome.refused / outcome.requests)} % refused, {outcome.failed} failed"
            for name, outcome in outcomes.items()
        },
        goal=slowest,
    )


def at_once(quick: bool) -> Row:
    """Measure a server that refuses above five at once."""
    behaviour = Behaviour(seconds=0.023, at_once=LIMIT, retry_after=1)
    with running_server() as server:
        ideal, outcomes = _measured(server, behaviour, 1 if quick else 20, 1 if quick else 2)
    return _row("storm", "429 storm: 64 callers, 5 allowed at once", ideal, outcomes, 1.05, 0)


def per_second(quick: bool) -> Row:
    """Measure a server that allows 200 requests in a second, and says when there is room again, as OpenAI does."""
    behaviour = Behaviour(seconds=0.023, per_second=200, says_milliseconds=True)
    each = 4 if quick else 20
    with running_server() as server:
        ideal, outcomes = _measured(server, behaviour, each, 1 if quick else 2)
    return _row(
        "rate",
        "429 storm: 200 a second allowed",
        max(ideal, CALLERS * each / 200),
        outcomes,
        1.25,
        2,
    )


def unavailable(quick: bool) -> Row:
    """Measure the throughput with a tenth of 503s against that with none, in calls of 5 ms and a delay of 50 ms."""
    each, rounds = (4, 1) if quick else (20, 5)
    names = ("ours", "a slot held while backing off")
    rates: dict[str, dict[float, float]] = {name: {} for name in names}
    with running_server() as server:
        for _ in range(rounds):
            for fraction in (0.0, 0.1):
                for name in names:
                    call = _backing_off_outside() if name == "ours" else _backing_off_inside()
                    server.behave(Behaviour(seconds=0.005, unavailable=fraction))
                    outcome = storm(server, call, each)
                    assert not outcome.failed
                    rate = CALLERS * each / outcome.seconds
                    rates[name][fraction] = max(rates[name].get(fraction, 0), rate)
    kept = {name: rate[0.1] / rate[0.0] for name, rate in rates.items()}
    return Row(
        "unavailable",
        "throughput with 10 % of 503s",
        "÷ that without",
        kept,
        [Check("kept", kept["ours"], "≥", 0.85)],
        goal=0.85,
    )


def _backing_off_outside() -> Call:
    client = retrofitted()(pooled_session())
    client.queue_size = CALLERS
    client.initial_retry_delay, client.backoff_factor = 0.05, 1
    return client.get  # type: ignore[no-any-return]


def _backing_off_inside() -> Call:
    import tenacity

    return behind_semaphore(with_tenacity(pooled_session().get, wait=tenacity.wait_fixed(0.05)), LIMIT)
