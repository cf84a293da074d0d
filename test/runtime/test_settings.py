"""SPEC section 2: the settings."""

from __future__ import annotations

import math
import threading
from decimal import Decimal

import pytest

from backend_retrofit_runtime import RequestEngine
from test.runtime.conftest import Api, Flaky, Gated, until

DEFAULTS = {
    "queue_enabled": True,
    "max_concurrent_requests": 5,
    "queue_size": 100,
    "max_retries": 5,
    "initial_retry_delay": 1,
    "backoff_factor": 2,
    "max_retry_delay": 60,
}


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_defaults_on_class_and_instance(name, value):
    assert getattr(Api(), name) == getattr(Api, name) == value


@pytest.mark.parametrize("name", [name for name in DEFAULTS if name != "queue_enabled"])
@pytest.mark.parametrize("value", [-1, math.nan, "5", math.inf, True, object()])
def test_senseless_value_is_refused_and_names_the_attribute(name, value):
    api = Api()
    with pytest.raises(ValueError, match=name):
        setattr(api, name, value)
    assert getattr(api, name) == DEFAULTS[name]


@pytest.mark.parametrize("name", [name for name in DEFAULTS if name not in ("queue_enabled", "queue_size")])
def test_none_is_refused_where_it_means_nothing(name):
    with pytest.raises(ValueError, match=name):
        setattr(Api(), name, None)


def test_flag_takes_only_true_and_false():
    with pytest.raises(ValueError, match="queue_enabled"):
        Api().queue_enabled = 1


def test_fraction_is_refused_where_a_count_is_meant():
    with pytest.raises(ValueError, match="max_retries"):
        Api().max_retries = 2.5


def test_plain_value_in_a_subclass_body_counts_and_stays_settable():
    class Slow(Api):
        max_concurrent_requests = 2

    api = Slow()
    assert api.max_concurrent_requests == 2
    assert RequestEngine.of(api).gate.limit == 2
    api.max_concurrent_requests = 3
    assert RequestEngine.of(api).gate.limit == 3
    with pytest.raises(ValueError, match="max_concurrent_requests"):
        api.max_concurrent_requests = -1
    assert Api().max_concurrent_requests == 5


def test_property_in_a_subclass_is_asked():
    class Computed(Api):
        at_once = 2

        @property
        def max_concurrent_requests(self):
            return self.at_once

    class Plain(Computed):
        max_concurrent_requests = 4

    api = Computed()
    api.at_once = 3
    assert RequestEngine.of(api).gate.limit == 3
    api.at_once = 1
    api.max_retries = 0
    assert RequestEngine.of(api).gate.limit == 1
    assert RequestEngine.of(Plain()).gate.limit == 4
    with pytest.raises(ValueError, match="max_concurrent_requests"):
        type("Wrong", (Computed,), {"at_once": -1})().call(len, "abc")


def test_senseless_value_in_a_subclass_body_is_refused_at_the_first_request():
    class Wrong(Api):
        max_concurrent_requests = "many"

    with pytest.raises(ValueError, match="max_concurrent_requests"):
        Wrong().call(len, "abc")


def test_init_without_super_may_assign():
    class Own(Api):
        def __init__(self):
            self.max_concurrent_requests = 1
            self.max_retries = 0

    api = Own()
    assert RequestEngine.of(api).gate.limit == 1
    assert RequestEngine.of(api).settings["max_retries"] == 0


def test_other_attribute_name():
    class Other:
        retries = RequestEngine.setting(7, "max_retries")

    other = Other()
    other.retries = 3
    assert RequestEngine.of(other).settings["max_retries"] == 3
    with pytest.raises(ValueError, match="retries must be"):
        other.retries = -1


def test_class_without_a_queue_block_does_not_queue():
    class OnlyBackoff:
        max_retries = RequestEngine.setting(5)

    assert RequestEngine.of(OnlyBackoff()).gate.limit == math.inf


def test_queue_disabled_runs_everything_at_once_and_backoff_stays_on(api):
    gated = Gated()
    api.max_concurrent_requests = 1
    api.queue_enabled = False
    threads = [threading.Thread(target=api.call, args=(gated, n)) for n in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: gated.now == 4)
    gated.end(4)
    for thread in threads:
        thread.join(5)


def test_class_with_slots():
    class Slotted:
        __slots__ = ("__weakref__",)
        max_concurrent_requests = RequestEngine.setting(5)
        queue_enabled = RequestEngine.setting(True)
        _queued = RequestEngine.entry_point()

    api = Slotted()
    api.max_concurrent_requests = 2
    assert api.max_concurrent_requests == RequestEngine.of(api).gate.limit == 2
    assert api._queued(len)("abc") == 3


def test_class_holds_the_queue_for_class_methods():
    class Shared:
        queue_enabled = RequestEngine.setting(True)
        max_concurrent_requests = RequestEngine.setting(2)
        _queued = RequestEngine.entry_point()

        @classmethod
        def length(cls, text):
            return cls._queued(len)(text)

    assert Shared.length("abc") == 3
    Shared.max_concurrent_requests = 1
    assert Shared.length("abc") == 3
    assert RequestEngine.of(Shared).gate.limit == 1


def test_a_subclass_of_a_class_that_holds_a_queue_has_a_queue_of_its_own():
    class Base(Api):
        max_concurrent_requests = 2

        @classmethod
        def gate(cls):
            return cls._queued.__self__.gate

    class Sub(Base):
        max_concurrent_requests = 3

    assert Base.gate() is Base.gate() is not Sub.gate()
    assert (Base.gate().limit, Sub.gate().limit) == (2, 3)


def test_deleting_a_setting_gives_the_default_back(api):
    api.max_retries = 1
    del api.max_retries
    assert api.max_retries == RequestEngine.of(api).settings["max_retries"] == 5


def test_engine_is_made_once_and_is_ready_when_seen():
    for _ in range(50):
        api, seen, start = Api(max_concurrent_requests=1), [], threading.Barrier(8)

        def look(api=api, seen=seen, start=start):
            start.wait(5)
            engine = RequestEngine.of(api)
            seen.append((engine, engine.gate.limit))

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert {id(engine) for engine, _ in seen} == {id(RequestEngine.of(api))}
        assert {limit for _, limit in seen} == {1}


def test_a_number_of_another_kind_becomes_one_that_can_be_added_to_a_time(delays):
    api = Api(initial_retry_delay=Decimal("0.5"), max_retries=1)
    assert api.initial_retry_delay == 0.5
    assert api.call(Flaky(ConnectionRefusedError())) == "done"
    assert delays == [0.5]


class Short:
    """A class whose blocks name few settings."""

    max_concurrent_requests = RequestEngine.setting(5)
    my_retries = RequestEngine.setting(2, "max_retries")
    my_budget = RequestEngine.setting(option="retry_budget")
    _queued = RequestEngine.entry_point()
    circuit_breaker: object


def test_settings_that_the_blocks_do_not_name_are_attributes_all_the_same():
    short = Short()
    assert (short.queue_timeout, short.max_retry_after) == (None, 120)
    short.queue_size = 7
    assert RequestEngine.of(short).gate.size == 7
    with pytest.raises(ValueError, match="max_retry_delay"):
        short.max_retry_delay = -1


def test_names_that_a_class_uses_itself_are_no_settings():
    short = Short()
    short.max_retries = short.retry_budget = short.circuit_breaker = "mine"
    assert short.my_budget is None
    settings = RequestEngine.of(short).settings
    assert [settings[name] for name in ("max_retries", "retry_budget", "circuit_breaker")] == [2, None, None]


def test_a_class_without_a_backoff_block_gets_no_settings_of_backoff():
    class Queued:
        max_concurrent_requests = RequestEngine.setting(5)
        _queued = RequestEngine.entry_point()

    assert not hasattr(Queued, "max_retries")
    assert RequestEngine.of(Queued()).settings["max_retries"] is None


def _with_properties_anew(cls):
    """Decorate a class as typeguard does, which makes its properties again from their functions."""
    for name, value in list(vars(cls).items()):
        if isinstance(value, property):
            functions = {"fget": value.fget, "fset": value.fset, "fdel": value.fdel}
            setattr(cls, name, type(value)(**functions, doc=value.__doc__))
    return cls


def test_C8_a_decorator_that_makes_properties_anew_changes_nothing():
    @_with_properties_anew
    class Made(Api):
        max_retries = RequestEngine.setting(2)
        queue_size = RequestEngine.setting(7)
        max_retry_delay = max_retry_after = RequestEngine.setting()
        api_key = RequestEngine.api_key("RUNTIME_TEST_KEY", missing="none")
        _queued = RequestEngine.entry_point()

    made = Made()
    assert (Made.max_retries, made.queue_size, made.max_retry_delay, made.api_key) == (2, 7, 60, "none")
    made.max_retries, made.queue_size = 0, 3
    settings = RequestEngine.of(made).settings
    assert (settings["max_retries"], settings["queue_size"]) == (0, 3)
    assert Made._queued(len)("abc") == made._queued(len)("abc") == 3
