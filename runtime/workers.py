"""The threads of the queue: workers, which run jobs that have a slot, and the alarm, which wakes gates in time.

They know gates, and never the instance whose requests they make, which they would keep alive.
"""

import _thread
import contextlib
import logging
import math
import sys
import threading
from queue import Empty
from typing import TYPE_CHECKING, Any

from .clocks import monotonic, new_queue
from .probing import safe_log

if TYPE_CHECKING:
    from .gate import Gate

_IDLE_SECONDS = 2.0


class Worker(threading.Thread):
    """Runs jobs until none has come for a while. It knows the gate, never the instance."""

    def __init__(self, gate: "Gate") -> None:
        try:
            super().__init__(name="request-queue", daemon=True)
        except RuntimeError:  # an isolated sub-interpreter, which has no daemon threads
            super().__init__(name="request-queue", daemon=False)
        self.gate = gate
        self.busy = True  # not counted in the gate's `idle`

    def become_idle(self) -> None:
        """Count as one that waits for a job, if it does not count already."""
        with self.gate.lock:
            self.gate.idle += self.busy
            self.busy = False

    def run(self) -> None:
        """Run jobs."""
        gate = self.gate
        while True:
            try:
                job = gate.jobs.get(timeout=_IDLE_SECONDS)
            except Empty:
                job = None
            if job is None:
                with gate.lock:
                    if gate.closed or gate.jobs.empty():
                        gate.idle = max(gate.idle - 1, 0)
                        gate.workers.discard(self)
                        return
                continue
            self.busy = True
            try:
                job.run(self)
            except BaseException as error:  # SystemExit from a future's callback, say
                safe_log(
                    job.request.engine.logger,
                    logging.ERROR,
                    "a future's callback raised %s",
                    type(error).__name__,
                )
            del job
            self.become_idle()


def start_worker(gate: "Gate") -> None:
    """Start a worker for a job that was put without one; without threads, run it here."""
    worker = Worker(gate)
    claimed = False
    try:
        claimed = gate.exclusively(_claim_job, gate, worker)
        if claimed is not True:
            return
        worker.start()
    except RuntimeError:  # no more threads, or the interpreter is on its way out
        gate.workers.discard(worker)
        _run_here(gate)
    except BaseException:  # Ctrl-C; one worker too many does no harm
        has_started = worker.ident is not None
        with gate.lock:
            gate.unstaffed += worker in gate.workers
            if not has_started:
                gate.workers.discard(worker)
        raise


def _claim_job(gate: "Gate", worker: Worker) -> bool:
    if not gate.unstaffed:
        return False
    gate.unstaffed -= 1
    gate.workers.add(worker)
    _renew_queue(gate)
    return True


def _renew_queue(gate: "Gate") -> None:
    """With the lock held: where gevent has patched since, hand jobs over in a way that stops no other greenlet."""
    jobs = new_queue()
    if type(jobs) is not type(gate.jobs):
        while not gate.jobs.empty():
            jobs.put(gate.jobs.get_nowait())
        gate.jobs = jobs


def waits_for_other_threads(thread: int) -> bool:
    """Return True if a thread stands in a wait for others that its own code began: a pool's `map`, `result()`, `join()`.

    A library that waits for a thread of its own (gRPC, s3transfer) may well have a request in flight.
    """
    frame: Any = sys._current_frames().get(thread)
    is_in_wait = False
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module in _POOLS or (module == "threading" and frame.f_code.co_name == "join"):
            is_in_wait = True
        elif module != "threading":
            break
        frame = frame.f_back
    if frame is None or not is_in_wait:
        return False
    return "site-packages" not in frame.f_code.co_filename and "dist-packages" not in frame.f_code.co_filename


_POOLS = frozenset({"concurrent.futures._base", "concurrent.futures.thread", "multiprocessing.pool"})


def _run_here(gate: "Gate") -> None:
    """Run the granted jobs in the calling thread, one after the other; not inside one another."""
    while not gate.jobs.empty() and gate.running_here.acquire(blocking=False):
        try:
            with contextlib.suppress(Empty):
                job = gate.jobs.get_nowait()
                if job is not None:
                    job.run()
        finally:
            gate.running_here.release()


class Alarm:
    """One daemon thread for all gates that pumps a gate when it is due, and ends when none is.

    Invariant, whenever `lock` is free: while a gate is in `due`, `thread` runs, unless it could not be started; then
    `Gate.own_wake_up` tells those who wait that they have to pump by themselves.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start with no times and no thread: at first, and in the child of a fork."""
        self.lock = _thread.RLock()  # a signal handler or a finalizer may call in the middle of a call
        self.news: Any = None  # a queue, not a Condition, which Ctrl-C can leave locked
        self.due: dict[Gate, float] = {}
        self.thread: threading.Thread | None = None

    def is_awake(self) -> bool:
        """Return True if its thread runs, and is not the one that asks."""
        thread = self.thread
        return thread is not None and thread.is_alive() and thread is not threading.current_thread()

    def set(self, gate: "Gate", due: float) -> None:
        """See to it that `gate.pump()` is called at `due` (`clocks.monotonic()`)."""
        with self.lock:
            if self.thread is not None and not self.thread.is_alive():
                self.thread = None
            if gate.closed or (self.thread is not None and due >= self.due.get(gate, math.inf)):
                return
            self.due[gate] = min(due, self.due.get(gate, math.inf))
            if self.thread is None:
                with contextlib.suppress(RuntimeError):
                    self.news = new_queue()
                    thread = threading.Thread(
                        target=self._run, args=(self.news,), name="request-queue-alarm", daemon=True
                    )
                    thread.start()
                    self.thread = thread
            else:
                self.news.put(None)

    def forget(self, gate: "Gate") -> None:
        """No longer wake up for a gate, which was closed."""
        with self.lock:
            if self.due.pop(gate, None) is not None and self.news is not None:
                self.news.put(None)

    def _run(self, news: Any) -> None:
        while True:
            with self.lock:
                if not self.due:
                    self.thread = None
                    return
                gate = min(self.due, key=self.due.__getitem__)
                wait = self.due[gate] - monotonic()
                if wait <= 0:
                    del self.due[gate]
            if wait <= 0:
                gate.pump()
            del gate
            if wait > 0:
                with contextlib.suppress(Empty):
                    news.get(timeout=min(wait, threading.TIMEOUT_MAX))


alarm = Alarm()
