"""What is given away: jobs, which worker threads run, `submit` and `map`."""

import contextlib
import contextvars
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from threading import get_ident
from typing import TYPE_CHECKING, Any

from .clocks import monotonic, new_signal
from .errors import InstanceLeft, RequestQueueFull
from .probing import attribute
from .request import Request
from .slots import (
    GONE,
    WAITING,
    Slot,
    Ticket,
    current_slot,
    slot_in_hand,
)
from .streams import finish
from .waiting import (
    timeout_until,
)
from .workers import Worker

if TYPE_CHECKING:
    from .engine import RequestEngine


class Job(Ticket):
    """The place of a request that a worker thread runs, and its outcome."""

    __slots__ = ("context", "done", "future")

    def __init__(self, slot: Slot, request: Request, future: "Future[Any] | None" = None) -> None:
        super().__init__(slot)
        self.request = request
        slot.tokens = request.tokens
        self.future = future
        self.context = contextvars.copy_context()
        self.done = new_signal()

    def hand_over(self) -> bool:
        gate = self.slot.gate
        # Counted before it is put: Ctrl-C in between costs a worker too many, the other way round one too few.
        if gate.idle:
            gate.idle -= 1
        else:
            gate.unstaffed += 1
        gate.jobs.put(self)
        return True

    def fail(self, error: Exception) -> None:
        if not isinstance(error, InstanceLeft):
            self.request.result, self.request.error = None, error
        self.deliver()

    def deliver(self) -> None:
        """Give the outcome to the caller that waits for it."""
        if self.future is None:
            if self.state == GONE:  # nobody waits; a stream's slot is not to wait for the collector
                self.request.result = None
            with contextlib.suppress(RuntimeError):
                self.done.release()
            return
        error, result = self.request.error, self.request.result
        self.request.error = self.request.result = None
        with contextlib.suppress(InvalidStateError):  # cancelled in the meantime
            self.future.set_exception(error) if error is not None else self.future.set_result(result)
        del error, result

    def run(self, worker: "Worker | None" = None) -> None:
        """Make one attempt, having been handed a slot; then deliver, or go back in line to wait out the backoff.

        Args:
            worker: the thread that runs it, where it is one of the queue's.
        """
        gate, request = self.slot.gate, self.request
        if not gate.start(self):
            return
        future = self.future
        if not (future is None or future.running() or future.set_running_or_notify_cancel()):
            self.slot.release()
            return
        self.slot.thread = get_ident()
        # In our own context: what a finalizer calls in this thread is made from within.
        token = current_slot.set(self.slot)
        try:
            delay = self.context.run(request.attempt, self.slot)
            if delay is not None:
                gate.rejoin(self, delay, request.holds)
                # Without the alarm (Python 3.12 starts no thread once the main one has ended) only we know of it. In short
                # steps, since nobody tells us when the backend is closed.
                while self.state == WAITING and (due := gate.own_wake_up()) < math.inf:
                    new_signal().acquire(timeout=timeout_until(min(due, monotonic() + 0.5)))
                    gate.pump()
                return
            if worker is not None and future is None:
                worker.become_idle()  # very soon: so that the slot's next job is its own, and wakes no other thread
            finish(request, self.slot)
        except BaseException as error:  # an error of our own must reach the caller, never end the worker
            request.result, request.error = None, error
            self.slot.release()
        finally:
            current_slot.reset(token)
        self.deliver()


def submit_call(
    engine: "RequestEngine", call: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> "Future[Any]":
    """Queue `call(*args, **kwargs)` and return its future at once.

    A method of the backend retries its own requests; any other function is retried as a whole.
    A request that submits others may go on to wait for them, so its slot is given back at once; what it requests
    itself from then on takes slots of its own.

    Raises:
        RequestQueueFull: if `queue_size` requests wait already.
    """
    return _submit_request(engine, False, call, args, kwargs)


def submit_to_line(
    engine: "RequestEngine", call: Callable[..., Any], args: Any, kwargs: Any
) -> "Future[Any]":
    """Do what `submit_call` does, whether there is room or not: the caller waits for the result at once."""
    return _submit_request(engine, True, call, args, kwargs)


def _submit_request(
    engine: "RequestEngine", always: bool, call: Callable[..., Any], args: Any, kwargs: Any
) -> "Future[Any]":
    owner = engine.reference()
    if (elsewhere := engine.settings["submit_to"]) is not None:
        return elsewhere.submit(owner, call, args, kwargs)  # type: ignore[no-any-return]
    bound = attribute(call, "__self__")
    # Of instances that cannot be referred to weakly, the class is the owner.
    retry = owner is None or (bound is not owner and type(bound) is not owner)
    future: Future[Any] = Future()
    request = Request(engine, call, retry, args, kwargs)
    request.name = str(attribute(call, "__name__") or "")
    gate, slot = engine.gate, engine.gate.new_slot()
    slot.is_submitted = slot.is_special = True
    request.is_method = slot.of_method = not retry
    job = Job(slot, request, future)

    def withdraw(done: "Future[Any]") -> None:
        if done.cancelled() and gate.withdraw(job):
            done.set_running_or_notify_cancel()  # tells concurrent.futures.wait() and its like

    future.add_done_callback(withdraw)
    try:
        if not gate.join(job, always):
            gate.join_later(job)
        if (outer := slot_in_hand(gate)) is not None:
            gate.let_go(outer)
    except BaseException:  # Ctrl-C; nobody would ever know of the future
        gate.withdraw(job)
        raise
    return future


def map_calls(
    engine: "RequestEngine",
    call: Callable[..., Any],
    items: Iterable[Any],
    progress: "Callable[[int], Any] | None" = None,
) -> Iterator[Any]:
    """Yield `call(item)` for each item, in their order, made in their turn by the queue's threads.

    A few more are under way than may run at once, so the items may be without end, and the queue keeps room for others.
    The first error is raised in its place. Then, and when the iterator is dropped, what has not begun never runs.

    Args:
        progress: called with 1 for each result, in the thread that iterates: a bar's `update` of tqdm, say.
    """
    return results_in_order(
        iter(items),
        lambda: engine.gate.limit,
        lambda item, always: _submit(engine, always, call, item),
        progress,
    )


def results_in_order(
    items: Iterator[Any],
    limit: Callable[[], float],
    submit: "Callable[[Any, bool], Future[Any] | None]",
    progress: "Callable[[int], Any] | None",
) -> Iterator[Any]:
    """Yield what comes of each item, in their order.

    Args:
        limit: returns how many may run at once.
        submit: (item, always) -> its future, or None if the queue is full and `always` is False.
    """
    under_way: deque[Future[Any]] = deque()
    try:
        while True:
            # Twice as many as may run: when one ends, the next is in line already.
            while len(under_way) < max(2 * min(limit(), 500), 1):
                try:
                    item = next(items)
                except StopIteration:
                    break
                submitted = submit(item, not under_way)
                while submitted is None:  # the queue is full: wait for an earlier one
                    yield _next_of(under_way, progress)
                    submitted = submit(item, not under_way)
                under_way.append(submitted)
            if not under_way:
                return
            yield _next_of(under_way, progress)
    finally:
        for future in under_way:
            future.cancel()


def _next_of(under_way: "deque[Future[Any]]", progress: Any) -> Any:
    result = under_way[0].result()
    del under_way[0]
    if progress is not None:
        progress(1)
    return result


def _submit(
    engine: "RequestEngine", always: bool, call: Callable[..., Any], item: Any
) -> "Future[Any] | None":
    """Submit a call for `map_calls`; return None if the queue has no room for it and it is not to be in line `always`."""
    try:
        return _submit_request(engine, always, call, (item,), {})
    except RequestQueueFull:
        return None
