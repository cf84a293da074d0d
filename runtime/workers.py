"""The threads of the queue: workers, which run jobs that have a slot, and the alarm, which wakes gates in time.

They know gates, and never the instance whose requests they make, which they would keep alive.
"""

import contextlib
import heapq
import itertools
import logging
import sys
import threading
from queue import Empty
from threading import get_ident
from typing import TYPE_CHECKING, Any

from .clocks import monotonic, new_queue, run_greenlets
from .probing import safe_log

if TYPE_CHECKING:
    from .gate import Gate

_IDLE_SECONDS = 2.0


def start_thread(thread: threading.Thread) -> bool:
    """Start a thread; return False if it cannot be: there are no more, or the interpreter is on its way out.

    Where Ctrl-C comes while `Thread.start` waits, that may raise RuntimeError in its place, for a lock that it gave back.
    """
    handled = sys.exc_info()[1]
    try:
        thread.start()
    except RuntimeError as error:
        if error.__context__ is not None and error.__context__ is not handled:
            raise error.__context__ from None
        return False
    return True


class Worker(threading.Thread):
    """Runs jobs until none has come for a while. It knows the gate, never the instance."""

    def __init__(self, gate: "Gate") -> None:
        try:
            super().__init__(name="request-queue", daemon=True)
        except RuntimeError:  # an isolated sub-interpreter, which has no daemon threads
            super().__init__(name="request-queue", daemon=False)
        self.gate = gate
        self.busy = True  # not counted in the gate's `idle`

    def has_begun(self) -> None:
        """Count one of the jobs that were put without a worker as staffed."""
        gate = self.gate
        with gate.lock:
            if gate.starting.pop(self, None) is not None and gate.unstaffed:
                gate.unstaffed -= 1

    def become_idle(self) -> None:
        """Count as one that waits for a job, if it does not count already."""
        with self.gate.lock:
            self.gate.idle += self.busy
            self.busy = False

    def run(self) -> None:
        """Run jobs."""
        self._run_jobs()
        run_greenlets()

    def _run_jobs(self) -> None:
        gate = self.gate
        self.has_begun()
        while True:
            try:
                job = gate.jobs.get(timeout=_IDLE_SECONDS)
            except Empty:
                job = None
            if job is None:
                with gate.lock:
                    if gate.closed or gate.leaving or gate.jobs.empty():
                        gate.idle = max(gate.idle - 1, 0)
                        gate.workers.discard(self)
                        # One that was overtaken in `get` just as its time was over waits for ever: CPython
                        # takes what is left, which is negative, for no limit. So one that ends lets the next one end.
                        if gate.idle:
                            gate.jobs.put(None)
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


def needs_worker(gate: "Gate") -> bool:
    """Return True if a job was put for which no worker is on its way.

    Who has interrupted a start, in the same thread, cannot count on it: it goes on only when the interrupter has ended.
    """
    if not gate.unstaffed:
        return False
    me = get_ident()
    return gate.unstaffed > sum(starter != me for starter in list(gate.starting.values()))


def start_worker(gate: "Gate") -> None:
    """Start a worker for a job that was put without one; without threads, run it here.

    After a signal handler or Ctrl-C there may be one worker too many, which does no harm.
    """
    worker = Worker(gate)
    try:
        if gate.exclusively(_add_worker, gate, worker) is not True:
            return
        if not start_thread(worker):
            worker.has_begun()
            gate.workers.discard(worker)
            _run_here(gate)
    except BaseException:  # Ctrl-C
        if worker.ident is None:
            gate.workers.discard(worker)
            gate.starting.pop(worker, None)
        raise
    with gate.lock:
        if worker in gate.starting:
            gate.starting[worker] = 0


def _add_worker(gate: "Gate", worker: Worker) -> bool:
    # Asked once more: another thread may have started one meanwhile. One too many would end in place of one that waits.
    if not needs_worker(gate):
        return False
    gate.starting[worker] = get_ident()
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
    """Return True if a thread waits for others because its own code said so: a pool's `map`, `result()`, `join()`.

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
    """One daemon thread for all gates that pumps each when it is due, and ends when none is.

    There is no lock: a signal handler that waits in the middle of `set` for a slot would keep it from the thread that
    holds the slot. What is due goes to the thread as a message. Invariant: a message is put before `thread` is looked
    at, and the thread looks once more for messages after it has said that there is none. So each message finds a thread,
    unless none could be started; then `Gate.own_wake_up` tells those who wait that they have to pump by themselves.
    For a moment there can be two, which does no harm.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start with no times and no thread: at first, and in the child of a fork."""
        self.news = new_queue()  # of (due, number, gate), and of None for a gate that was closed
        self.numbers = itertools.count()  # so that no gates are compared
        self.thread: threading.Thread | None = None
        self.starter = 0  # the thread that starts it

    def is_awake(self) -> bool:
        """Return True if its thread runs, or is being started, and is not the one that asks, nor waits for it to go on."""
        thread = self.thread
        if thread is None or thread is threading.current_thread():
            return False
        return thread.is_alive() or (thread.ident is None and self.starter not in (0, get_ident()))

    def set(self, gate: "Gate", due: float) -> None:
        """See to it that `gate.pump()` is called at `due` (`clocks.monotonic()`)."""
        if gate.closed or (self._has_thread() and monotonic() < gate.alarm_at <= due):
            return  # it is pumped before, and tells us again then
        self.news.put((due, next(self.numbers), gate))
        gate.alarm_at = due
        if not self._has_thread():
            self._start()

    def _has_thread(self) -> bool:
        thread = self.thread  # it runs, or is being started
        return thread is not None and (thread.is_alive() or thread.ident is None)

    def _start(self) -> None:
        if type(news := new_queue()) is not type(self.news):  # gevent has patched since
            while not self.news.empty():
                news.put(self.news.get_nowait())
            self.news = news
        try:
            thread = threading.Thread(target=self._run, name="request-queue-alarm", daemon=True)
        except RuntimeError:  # an isolated sub-interpreter, which has no daemon threads
            return
        has_started = False
        try:
            self.starter, self.thread = get_ident(), thread
            has_started = start_thread(thread)
        finally:
            self.starter = 0
            if not has_started and self.thread is thread:  # after Ctrl-C it may run; then there are two
                self.thread = None

    def forget(self, gate: "Gate") -> None:
        """No longer wake up for a gate, which was closed."""
        if self.thread is not None:
            self.news.put(None)

    def _run(self) -> None:
        self._pump_gates()
        run_greenlets()

    def _pump_gates(self) -> None:
        due: list[tuple[float, int, Gate]] = []
        while True:
            wait = due[0][0] - monotonic() if due else 0.0
            if due and wait <= 0:
                heapq.heappop(due)[2].pump()
                continue
            try:
                news = self.news.get(bool(due), min(wait, threading.TIMEOUT_MAX))
            except Empty:
                if due:
                    continue
                self.thread = None
                if self.news.empty():
                    return
                self.thread = threading.current_thread()
                continue
            if news is None:
                due = [entry for entry in due if not entry[2].closed]
                heapq.heapify(due)
            else:
                heapq.heappush(due, news)
            del news


alarm = Alarm()
