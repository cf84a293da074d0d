"""The threads of the queue: workers, which run jobs that have a slot, and the alarm, which wakes gates in time.

They know gates, and never the instance whose requests they make, which they would keep alive.
"""

import contextlib
import logging
import math
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from .probing import safe_log

if TYPE_CHECKING:
    from .gate import Gate

_IDLE_SECONDS = 2.0


class Worker(threading.Thread):
    """Runs jobs until none has come for a while. It knows the gate, never the instance."""

    def __init__(self, gate: "Gate") -> None:
        super().__init__(name="request-queue", daemon=True)
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
        with gate.lock:
            if not gate.unstaffed:
                return
            gate.unstaffed -= 1
            claimed = True
            gate.workers.add(worker)
        worker.start()
    except RuntimeError:  # no more threads, or the interpreter is on its way out
        with gate.lock:
            gate.workers.discard(worker)
        _run_here(gate)
    except BaseException:  # Ctrl-C; one worker too many does no harm
        with gate.lock:
            gate.unstaffed += claimed
            if worker.ident is None:
                gate.workers.discard(worker)
        raise


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
        self.lock = threading.Lock()
        self.news: SimpleQueue[None] = SimpleQueue()  # not a Condition, which Ctrl-C can leave locked
        self.due: dict[Gate, float] = {}
        self.thread: threading.Thread | None = None

    def set(self, gate: "Gate", due: float) -> None:
        """See to it that `gate.pump()` is called at `due` (`time.monotonic()`)."""
        with self.lock:
            if gate.closed or (self.thread is not None and due >= self.due.get(gate, math.inf)):
                return
            self.due[gate] = min(due, self.due.get(gate, math.inf))
            self.news.put(None)
            if self.thread is None:
                thread = threading.Thread(target=self._run, name="request-queue-alarm", daemon=True)
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self.thread = thread

    def forget(self, gate: "Gate") -> None:
        """No longer wake up for a gate, which was closed."""
        with self.lock:
            if self.due.pop(gate, None) is not None:
                self.news.put(None)

    def _run(self) -> None:
        while True:
            with self.lock:
                if not self.due:
                    self.thread = None
                    return
                gate = min(self.due, key=self.due.__getitem__)
                wait = self.due[gate] - time.monotonic()
                if wait <= 0:
                    del self.due[gate]
            if wait <= 0:
                gate.pump()
            del gate
            if wait > 0:
                with contextlib.suppress(Empty):
                    self.news.get(timeout=min(wait, threading.TIMEOUT_MAX))


alarm = Alarm()
