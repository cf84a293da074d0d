"""One account of this process: the two threads that talk to its server, and the gates that take slots from it.

The callers' threads and event loops only count, under a short lock. The reporter makes the steps: one for all that
has happened since the last. The other thread is the listener.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import threading
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ..clocks import monotonic
from ..workers import start_thread
from .gates import Gates
from .holdings import Holdings
from .learnt import Learnt
from .listener import FIRST_RETRY, Listener
from .messages import Terms
from .notices import Notices
from .servers import Server
from .source import SharedLimit

if TYPE_CHECKING:
    from ..rates import Pace

_BUSY_SECONDS = 0.5
"""A process that holds or waits reports at least so often, whatever it hears."""
_PAUSE = 0.05


class Client:
    """The account's counters and threads. The threads start with the first request that wants a slot.

    Args:
        server: where the account is.
        terms: what is asked of it.
        logger: for a WARNING when the server is away, and an INFO when it is back.
    """

    def __init__(self, server: Server, terms: Terms, logger: logging.Logger) -> None:
        self.server, self.logger = server, logger
        self.gates = Gates(self.wake)
        self.asked = terms
        self.learnt = Learnt()
        self._begin(terms)

    def _begin(self, terms: Terms) -> None:
        self.holdings = Holdings(terms, self.server.channel)
        self.lock = threading.RLock()
        self.gates.begin()
        self.news: SimpleQueue[None] = SimpleQueue()
        self.signalled = False
        self.notices = Notices(self.logger)
        self.listener = Listener(
            self.server, self.holdings, self.gates, self.notices, self._heard, self.wake, self._is_over
        )
        self.started = False
        self.threads: list[threading.Thread] = []
        self.asked_until = math.inf  # who waits for the server longer than this goes on alone
        self.retry_at = 0.0
        self.failures = 0
        self.woken = False  # from a pause longer than a lease, and the server has not answered since
        self.ending = False  # say good-bye, whatever is in flight

    # What the gates call.

    def take(self, source: SharedLimit, slot: Any) -> bool:
        now = monotonic()
        if now >= self.asked_until:  # the reporter is stuck, in a name server say
            self._lose(None)
        if len(self.gates.sources) > 1 and self.holdings.alone is None and source.credit <= 0:
            return False  # others of this process may have waited for longer: the reporter shares out
        source.credit -= 1
        return self.holdings.take(slot, now)

    def give(self, slot: Any, unused: bool) -> None:
        self.holdings.give(slot, monotonic(), unused)
        self.wake()

    def want(self, news: bool) -> float:
        """Return when the gate is to try again, unless it hears earlier.

        Args:
            news: the latest report did not tell of all that wait.
        """
        now = monotonic()
        holdings = self.holdings
        if holdings.alone is None:
            if not holdings.joined and self.asked_until == math.inf:
                self.asked_until = now + holdings.terms.timeout
            if not self.started:
                self._start()
            if news:
                self.wake()
        return min(holdings.ready_at(now), self.asked_until)

    def hold(self, until: float) -> None:
        self.holdings.hold(until)
        if self.started:
            self.wake()

    def correct(self, slot: Any, used: Mapping[str, float]) -> None:
        self.holdings.correct(slot, used)
        self.wake()

    def learn(self, pace: Pace) -> None:
        self.holdings.expect(pace.means)
        self.learnt.take(pace)
        self.change(self.asked)

    def stats(self) -> dict[str, Any]:
        holdings, alone = self.holdings, self.holdings.alone
        return {
            "shared": holdings.joined and alone is None,
            "processes": holdings.processes,
            "alone_seconds": holdings.alone_seconds
            + (monotonic() - alone.since if alone is not None else 0.0),
        }

    def add(self, source: SharedLimit) -> None:
        self.gates.add(source)

    def remove(self, source: SharedLimit) -> None:
        self.gates.remove(source)
        self.wake()

    def lose_gate(self, source: SharedLimit) -> None:
        """A gate was collected. This may run inside any function: no locks."""
        self.gates.lost.put(source)
        self.wake()

    @property
    def closing(self) -> bool:
        """All that used the account are closed."""
        return self.gates.all_closed

    def change(self, terms: Terms) -> None:
        """Ask for other terms from now on."""
        self.asked = terms
        terms = self.learnt.put_into(terms)
        if terms != self.holdings.terms:
            self.holdings.change(terms, monotonic())
            self.notices.told_of_limit = False
            if self.started:
                self.wake()

    def wake(self) -> None:
        """Let the reporter look; no lock, for the sake of signal handlers and finalizers."""
        if not self.signalled:
            self.signalled = True
            self.news.put(None)

    # The threads.

    def _start(self) -> None:
        with self.lock:
            if self.started:  # for another gate
                return
            self.started = True
        self.listener.deaf_since = monotonic()
        interruption = None
        for name, target in (("listener", self.listener.run), ("reporter", self._report)):
            thread = threading.Thread(target=target, name=f"request-queue-{name}", daemon=True)
            try:
                if not start_thread(thread):
                    self._lose(None)
                    return
            except BaseException as error:  # Ctrl-C; both have to run all the same
                interruption = error
            self.threads.append(thread)
        if interruption is not None:
            raise interruption

    def _heard(self) -> None:
        self.retry_at = 0.0
        self.wake()

    def _is_over(self) -> bool:
        return self.ending or (self.closing and self.holdings.held <= 0)

    def _report(self) -> None:
        holdings, listener = self.holdings, self.listener
        due = 0.0
        while True:
            with contextlib.suppress(Empty):
                self.news.get(timeout=max(0.0, due - monotonic()))
            self.signalled = False
            self.gates.drop_lost()
            if self._is_over():
                self._say_goodbye()
                return
            now = monotonic()
            if holdings.alone is not None and (now < self.retry_at or not listener.listening):
                self.gates.pump(self.holdings)  # another gate may have given back what this one waits for
                due = self.retry_at if listener.listening else math.inf
            elif not listener.listening and now >= listener.deaf_since + holdings.terms.timeout:
                self._lose(None)
            elif not listener.listening and (self.server.elects or not holdings.joined):
                due = listener.deaf_since + holdings.terms.timeout
            else:
                due = self._step()
                if not listener.listening:
                    due = min(due, listener.deaf_since + holdings.terms.timeout)
            self.notices.away(holdings)
            due = min(due, monotonic() + threading.TIMEOUT_MAX / 2)

    def _step(self) -> float:
        """Report, and take the answer; return when the next report is due."""
        holdings, terms = self.holdings, self.holdings.terms
        if holdings.spare > 0:
            self.gates.pump(self.holdings)
        waiting = self.gates.waiting(self.holdings.limit)
        wanted = sum(waiting.values())
        holdings.give_back_spare(wanted)
        holdings.trust, holdings.publish = self.server.trust, self.server.publish
        sent_at = monotonic()
        report = holdings.report(sent_at, waiting)
        if holdings.alone is None:
            self.asked_until = sent_at + 1.25 * terms.timeout
        try:
            reply = self.server.step(report)
        except Exception as error:
            if self.server.elects and isinstance(error, ConnectionError) and holdings.alone is None:
                return self.asked_until  # until then another may serve
            self._lose(error)
            return self.retry_at
        now, held_until = monotonic(), holdings.hold_until
        self.asked_until = math.inf
        back = holdings.answered(report, reply, sent_at, now)
        if holdings.hold_until > held_until + _PAUSE:  # news, not the rounding of what is known
            self.gates.was_held()
        if back:
            self.notices.back(holdings)
        elif holdings.alone is not None or now >= holdings.valid_until:
            self.wake()  # it came too late
        self.failures, self.woken = 0, False
        self.notices.compare_limits(holdings)
        busy = wanted > 0 or holdings.held > 0
        soon = min(_BUSY_SECONDS, terms.timeout / 2, terms.lease / 8) if busy else math.inf
        again = min(terms.lease / 3, soon)
        if holdings.spare > 0:
            self.gates.pump(self.holdings)
            still_wanted = sum(self.gates.waiting(holdings.limit).values())
            if holdings.give_back_spare(still_wanted):  # some have given up
                self.wake()
            elif holdings.spare > 0:
                again = _PAUSE
        return min(holdings.wake_at, now + again)

    def _lose(self, error: Exception | None) -> None:
        """Go on alone. It logs nothing: the caller may hold locks."""
        now = monotonic()
        if self.holdings.joined and now >= self.holdings.valid_until and not self.woken:
            # It was this process that was away, stopped or suspended: the server is asked first.
            self.woken = True
            self.asked_until = self.listener.deaf_since = now + self.holdings.terms.timeout
            self.wake()
            return
        self.asked_until = math.inf
        wait = min(FIRST_RETRY * 2**self.failures, self.holdings.terms.longest_retry)
        self.failures = min(self.failures + 1, 10)
        self.retry_at = now + wait * random.uniform(0.5, 1)
        if self.holdings.lost(now):
            self.notices.reason = "no answer in time" if error is None else type(error).__name__
            self.wake()  # to let all gates know, and to say it

    # The end.

    def _say_goodbye(self) -> None:
        holdings = self.holdings
        try:
            self.server.hang_up()
            if holdings.joined:
                self.server.step(holdings.report(monotonic(), {}, bye=True))
        except Exception as error:
            self.notices.ended(" was not told good-bye", error)
        finally:
            self.server.close()

    def end(self) -> None:
        """Say good-bye, whatever is in flight: the interpreter ends."""
        self.ending = True
        self.news.put(None)
        for thread in self.threads[1:]:
            thread.join(2 * self.holdings.terms.timeout)
        self.server.end()

    def after_fork(self) -> None:
        """In the child of a fork: another process, which holds nothing."""
        self.server.after_fork()
        for source in self.gates.sources:
            source.slots.clear()
        self._begin(self.holdings.terms)
