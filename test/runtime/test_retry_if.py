"""B14: the owner's own word on what failed. Q13: a switch for tests."""

from __future__ import annotations

import asyncio
import logging
import threading
from unittest import mock

import pytest
import requests

from backend_retrofit_runtime import RequestEngine
from test.runtime.conftest import Answer, Api, Flaky


def quick(**settings):
    return Api(initial_retry_delay=0, retry_jitter=0, **settings)


def test_B14_true_retries_what_looks_like_a_success():
    flaky = Flaky({"state": "busy"}, {"state": "busy"})
    api = quick(retry_if=lambda result, error: isinstance(result, dict))
    assert api.call(flaky) == "done"
    assert flaky.calls == 3


def test_B14_true_retries_an_exception_that_is_none_of_ours():
    flaky = Flaky(KeyError("busy"))
    assert quick(retry_if=lambda result, error: isinstance(error, KeyError)).call(flaky) == "done"


def test_B14_false_is_final():
    flaky = Flaky(Answer(503))
    assert quick(retry_if=lambda result, error: False).call(flaky).status_code == 503
    assert flaky.calls == 1


def test_B14_none_leaves_it_to_the_usual_judgement():
    flaky, other = Flaky(Answer(503)), Flaky(Answer(404))
    api = quick(retry_if=lambda result, error: None)
    assert api.call(flaky) == "done"
    assert api.call(other).status_code == 404


def test_B14_seconds_are_waited_for_and_hold_nobody():
    delays = []
    api = quick(retry_if=lambda result, error: 0.01 if result is not None and result != "done" else None)
    with mock.patch.object(
        RequestEngine, "listeners", [lambda event: delays.append((event["delay"], event["source"]))]
    ):
        assert api.call(Flaky(Answer(429, {"Retry-After": "100"}))) == "done"
    assert delays == [(0.01, "retry_if")]
    assert RequestEngine.of(api).gate.hold_until == 0


def test_B14_what_it_raises_is_the_callers_to_see_and_no_slot_is_lost():
    def broken(result, error):
        raise LookupError("mine")

    api = quick(retry_if=broken, max_concurrent_requests=1)
    for _ in range(3):
        with pytest.raises(LookupError, match="mine"):
            api.call(Flaky())
    with pytest.raises(LookupError, match="mine"):
        api.submit(Flaky()).result(5)
    with pytest.raises(LookupError, match="mine"):
        asyncio.run(api.acall(coroutine))
    assert api.current_requests == 0


async def coroutine():
    return "done"


@pytest.mark.parametrize("word", ["yes", -1, float("nan"), float("inf"), object()])
def test_B14_a_senseless_word_is_refused(word):
    with pytest.raises(ValueError, match="retry_if must return"):
        quick(retry_if=lambda result, error: word).call(Flaky())


def test_B14_it_may_be_a_method_of_a_subclass():
    class Careful(Api):
        def retry_if(self, result, error):
            return isinstance(error, KeyError) and self.metadata == "mine"

    assert Careful("mine", initial_retry_delay=0).call(Flaky(KeyError())) == "done"


def test_B14_no_more_than_max_retries():
    flaky = Flaky(*[KeyError()] * 9)
    with pytest.raises(KeyError):
        quick(retry_if=lambda result, error: error is not None, max_retries=2).call(flaky)
    assert flaky.calls == 3


def test_B14_of_a_coroutine():
    calls = []

    async def busy_once():
        calls.append(1)
        return "busy" if len(calls) == 1 else "done"

    api = quick(retry_if=lambda result, error: result == "busy")
    assert asyncio.run(api.acall(busy_once)) == "done"


def test_B14_what_is_no_function_is_refused():
    with pytest.raises(ValueError, match="retry_if must be a function, or None"):
        Api().retry_if = 5


def test_Q13_nothing_is_waited_for():
    api = Api()  # with the usual delays: 1 + 2 + 4 + 8 + 16 s, and what the server asks for
    with RequestEngine.testing():
        assert api.call(Flaky(*[Answer(503)] * 4, Answer(429, {"Retry-After": "100"}))) == "done"
        assert api.call(Flaky(*[Answer(503, {"Retry-After": "100"})] * 9)).status_code == 503
        assert api.call(Flaky()) == "done"  # no hold was left behind
    assert RequestEngine.of(api).gate.hold_until == 0


def test_Q13_retries_can_be_fewer():
    flaky = Flaky(*[Answer(503)] * 9)
    with RequestEngine.testing(retries=1):
        assert Api().call(flaky).status_code == 503
    assert flaky.calls == 2


def test_Q13_in_all_threads_and_it_ends_with_the_block():
    answers = []
    with RequestEngine.testing(retries=0):
        with RequestEngine.testing():
            thread = threading.Thread(target=lambda: answers.append(Api().call(Flaky(Answer(503)))))
            thread.start()
            thread.join(10)
        flaky = Flaky(Answer(503))
        Api().call(flaky)
    assert (answers, flaky.calls) == (["done"], 1)
    assert RequestEngine.testing.waits


@RequestEngine.testing()
def test_Q13_as_a_decorator():
    assert Api().call(Flaky(Answer(503))) == "done"


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("reset"), requests.ReadTimeout("late"), requests.ConnectTimeout()]
)
@pytest.mark.parametrize("make", [
    lambda outcomes: mock.Mock(side_effect=outcomes, name="get"),
    lambda outcomes: mock.MagicMock(**{"get.side_effect": outcomes}).get,
    lambda outcomes: mock.create_autospec(requests.get, side_effect=outcomes),
], ids=["named", "attribute", "autospec"])  # fmt: skip
def test_Q13_a_mocked_get_is_retried_like_the_real_one(make, error):
    answer = mock.Mock(status_code=200)
    get = make([error, answer])
    with RequestEngine.testing():
        assert Api().call(get, "http://weather.test") is answer
    assert get.call_count == 2


def test_B7_a_mocked_post_that_makes_something_is_not_repeated_after_a_lost_answer():
    post = mock.Mock(side_effect=[requests.ReadTimeout("late"), mock.Mock(status_code=200)], name="post")
    with RequestEngine.testing(), pytest.raises(requests.ReadTimeout):
        Api().call(post, "http://shop.test/orders")


def test_Q14_log_records_carry_what_happened(caplog):
    with caplog.at_level(logging.WARNING):
        quick(max_retries=1).call(Flaky(Answer(503), Answer(503)))
    said = [(r.levelname, r.backend, r.status, r.attempt, r.delay, r.source) for r in caplog.records]
    assert said == [("WARNING", "Api", 503, 1, 0, "backoff"), ("ERROR", "Api", 503, 2, None, "")]
    assert all(isinstance(r.request, int) and r.method == "call" for r in caplog.records)
