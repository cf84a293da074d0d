"""What this process holds of an account, and what it may start. No thread, no socket: times are given in.

Invariant, whenever `lock` is free: `granted - returned` is what the process holds, `held` of it in flight and the
rest (`spare`) to be started or given back. Only what was granted, and not longer ago than a lease, is started.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Mapping

from ..rates import COUNTED_BY, FIRST_MEANS
from .alone import Alone
from .messages import Reply, Report, Terms

COUNTED = tuple(COUNTED_BY.values())
"""What the rates of `Terms` count, in their order."""


class Holdings:
    """The counters of one process, as its reports say them.

    Args:
        terms: what is asked of the account.
        channel: prefix of the account's channels.
        trust, publish: see `Report`.
    """

    def __init__(self, terms: Terms, channel: str = "", trust: bool = True, publish: str = "PUBLISH") -> None:
        self.lock = threading.RLock()  # a signal handler may make a request as well
        self.id = os.urandom(12).hex()
        self.terms = terms
        self.channel, self.trust, self.publish = channel, trust, publish
        self.life = 1
        self.seq = 0
        self.granted = self.returned = self.unused = self.held = 0
        self.started_alone = 0  # since the latest report was made
        self.joined = False  # the server has answered, and is not away
        self.born = self.round = 0
        self.valid_until = -math.inf
        self.limit, self.processes, self.place = terms.limit, 1, 0
        self.hold_until = 0.0
        self.untold_hold = 0.0  # until then; the server has not heard of it
        self.wake_at = math.inf
        self.alone: Alone | None = None
        self.alone_seconds = 0.0  # before the present time alone
        self.costs = [FIRST_MEANS[counted] for counted in COUNTED]  # what a request costs at each rate
        self.charged = list(self.costs)  # as the latest report said
        self.spent = [0.0 for _ in COUNTED]  # by how much that was too low so far
        self.longest_of_all = 0.0
        # Slot -> when it was taken, oldest first, and what it was charged.
        self.running: dict[object, tuple[float, list[float]]] = {}
        self.durations: deque[tuple[float, float]] = (
            deque()
        )  # when a call ended, how long it took; longest first

    @property
    def spare(self) -> int:
        """Slots that were granted and are not in use."""
        return self.granted - self.returned - self.held

    def take(self, slot: object, now: float) -> bool:
        """Take a slot for an attempt that starts now, if there is one."""
        with self.lock:
            if now < self.hold_until:
                return False
            if self.alone is not None:
                if self.alone.ready_at(self.held, self.costs, now) > now:
                    return False
                self.alone.pay(self.costs, now)
                self.granted += 1
                self.started_alone += 1
            elif not self.joined or now >= self.valid_until or self.spare <= 0:
                return False
            self.held += 1
            self.running[slot] = now, list(self.costs if self.alone is not None else self.charged)
            return True

    def give(self, slot: object, now: float, unused: bool = False) -> None:
        """Give back a slot.

        Args:
            unused: nothing was started under it.
        """
        with self.lock:
            if slot not in self.running:
                return
            took = now - self.running[slot][0]
            self.held -= 1  # no call in between: Ctrl-C comes before all of it, or after
            self.returned += 1
            del self.running[slot]
            if unused:
                self.unused += 1
                if self.alone is not None:
                    self.alone.pay(self.costs, now, -1)
            while self.durations and self.durations[-1][1] <= took:
                self.durations.pop()
            self.durations.append((now, took))

    def correct(self, slot: object, used: Mapping[str, float]) -> None:
        """Charge what a request really costs, as it or its answer says.

        Args:
            used: what is counted -> how much of it.
        """
        with self.lock:
            if slot not in self.running:
                return
            charged = self.running[slot][1]
            for index, counted in enumerate(COUNTED):
                if counted in used:
                    more = used[counted] - charged[index]
                    charged[index] += more
                    self.spent[index] += more
                    if self.alone is not None:
                        self.alone.correct(index, more)

    def expect(self, means: Mapping[str, float]) -> None:
        """Take over what requests have cost lately: counted -> how much."""
        with self.lock:
            self.costs = [means[counted] for counted in COUNTED]

    def give_back_spare(self, wanted: int = 0) -> int:
        """Give back what was granted beyond what is wanted here; return how many slots."""
        with self.lock:
            return self._give_back_spare(wanted)

    def _give_back_spare(self, wanted: int = 0) -> int:
        spare = max(self.spare - wanted, 0)
        self.returned += spare
        self.unused += spare
        return spare

    def hold(self, until: float) -> None:
        """Start nothing before `until`, in all processes: the API asked for it."""
        with self.lock:
            self.hold_until = max(self.hold_until, until)
            self.untold_hold = max(self.untold_hold, until)

    def ready_at(self, now: float) -> float:
        """Return when the next one may start without news from the server; infinity if it takes news, or a slot."""
        with self.lock:
            ready = now if self.joined and self.spare > 0 else math.inf
            if self.alone is not None:
                ready = self.alone.ready_at(self.held, self.costs, now)
            return max(ready, self.hold_until)

    def report(self, now: float, waiting: dict[int, int], bye: bool = False) -> Report:
        """Return the next report.

        Args:
            waiting: rank -> how many wait for a slot, all that are spare now included.
        """
        with self.lock:
            back = self.alone is not None
            if back or (self.joined and now >= self.valid_until) or bye:
                self.life += 1  # what was granted before, and is still on its way, is void
                self._give_back_spare()
            self.seq += 1
            self.started_alone = 0
            spare = self.spare
            words = []
            for rank in sorted(waiting):
                wanted = max(0, waiting[rank] - spare)
                spare = max(0, spare - waiting[rank])
                if wanted:
                    words.append(f"{rank} {wanted}")
            hold = self.hold_until if back else self.untold_hold
            while self.durations and self.durations[0][0] < now - 2 * self.terms.lease:
                self.durations.popleft()
            longest = self.durations[0][1] if self.durations else 0.0
            self.charged = list(self.costs)
            rates = len(self.terms.rates)
            for since, _ in self.running.values():
                longest = max(longest, now - since)
                break  # the oldest
            return Report(
                id=self.id,
                life=self.life,
                seq=self.seq,
                seen=self.granted,
                returned=self.returned,
                unused=self.unused,
                config=self.terms.config,
                lease=math.ceil(self.terms.lease * 1000),
                born=self.born,
                processes=self.processes,
                back=int(back),
                longest=math.ceil(longest * 1000),
                hold=math.ceil(max(0.0, hold - now) * 1000),
                flow=self.id if self.terms.flow == "process" else self.terms.flow,
                bye=int(bye),
                trust=int(self.trust),
                publish=self.publish,
                channel=self.channel,
                costs=" ".join(map(repr, self.charged[:rates])),
                spent=" ".join(map(repr, self.spent[:rates])),
                timeout=math.ceil(self.terms.timeout * 1000),
                round=self.round,
                waiting=" ".join(words),
            )

    def answered(self, report: Report, reply: Reply, sent_at: float, now: float) -> bool:
        """Take the answer to the latest report; True if the server was away before.

        An answer that was read later than a lease after its report was sent says nothing any more.
        """
        with self.lock:
            if (report.life, reply.seq) != (self.life, self.seq) or now >= sent_at + self.terms.lease:
                return False
            lost = self.born not in (0, reply.born)
            self.born = reply.born
            self.granted = max(self.granted, reply.granted + self.started_alone)
            self.started_alone = 0
            self.limit, self.processes, self.place = reply.limit, reply.processes, reply.place
            self.longest_of_all = reply.longest / 1000
            self.valid_until = sent_at + self.terms.lease
            if lost and self.hold_until > now + reply.hold / 1e6:
                self.untold_hold = self.hold_until  # the server has forgotten it
            elif report.hold and self.untold_hold <= sent_at + report.hold / 1000:
                self.untold_hold = 0.0
            self.hold_until = max(self.hold_until, now + reply.hold / 1e6 if reply.hold else 0.0)
            self.wake_at = math.inf if reply.wake < 0 else now + reply.wake / 1e6
            self.round = reply.round
            if lost or report.back or report.round != reply.round:  # all that is held is to be known
                self.wake_at = now
            self.joined = True
            back, self.alone = self.alone, None
            if back is not None:
                self.alone_seconds += now - back.since
            return back is not None

    def told(self, message: str, now: float) -> bool:
        """Take a message of the server; True if a report is due: it asks for one, or does not know how things stand."""
        words = message.split()
        with self.lock:
            if words[:1] == ["h"] and len(words) == 2:
                self.hold_until = max(self.hold_until, now + int(words[1]) / 1000)
                return False
            if words[:1] == ["?"]:
                self.round = int(words[1]) if len(words) == 2 else self.round
                return True
            if len(words) != 3:
                return False
            born, life, granted = map(int, words)
            if self.alone is not None or now >= self.valid_until or (born, life) != (self.born, self.life):
                return True
            self.granted = max(self.granted, granted)
            return False

    def lost(self, now: float) -> bool:
        """The server is away: go on alone; True if it was not known before."""
        with self.lock:
            if self.alone is not None:
                return False
            known = self.born > 0
            self.joined = False
            self.life += 1
            self._give_back_spare()
            self.wake_at = math.inf
            self.alone = Alone(
                self.terms,
                self.limit,
                self.place,
                self.processes,
                self.held,
                self.longest_of_all,
                now,
                known,
            )
            return True

    def change(self, terms: Terms, now: float) -> None:
        """Ask for other terms."""
        with self.lock:
            self.terms = terms
            if self.alone is not None:
                self.limit = terms.limit
                since = self.alone.since
                self.alone = Alone(terms, terms.limit, self.place, self.processes, self.held, 0.0, now, False)
                self.alone.since = since
