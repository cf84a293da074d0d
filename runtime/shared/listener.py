"""The thread that waits for the messages of an account's server, and hands what was granted to the gates at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from ..clocks import monotonic
from .gates import Gates
from .holdings import Holdings
from .notices import Notices
from .servers import Server

FIRST_RETRY = 0.05
"""Seconds until the first new try to reach the server; each pause is twice the one before, up to `Terms.longest_retry`."""


class Listener:
    """Listens until `is_over`, and tries again when the connection ends.

    Args:
        server: where the account is.
        holdings: what is told of every message.
        gates: are given the slots that a message grants.
        notices: for why a subscription ended.
        heard: the server is there, so that it is not waited for any longer.
        wake: lets the reporter look.
        is_over: nothing is to be heard any more.
    """

    def __init__(
        self,
        server: Server,
        holdings: Holdings,
        gates: Gates,
        notices: Notices,
        heard: Callable[[], None],
        wake: Callable[[], None],
        is_over: Callable[[], bool],
    ) -> None:
        self.server, self.holdings, self.gates, self.notices = server, holdings, gates, notices
        self.heard, self.wake, self.is_over = heard, wake, is_over
        self.listening = False
        self.deaf_since = 0.0
        self.pause = FIRST_RETRY

    def run(self) -> None:
        while not self.is_over():
            try:
                self.server.listen(self.holdings.id, self._told, self._begun)
            except Exception as error:
                self.notices.ended("'s subscription ended", error)
            if self.listening:
                self.listening, self.deaf_since = False, monotonic()
            self.wake()  # to see whether the server is there at all
            time.sleep(self.pause * random.uniform(0.5, 1))
            self.pause = min(2 * self.pause, self.holdings.terms.longest_retry)

    def _begun(self) -> None:
        self.pause = FIRST_RETRY
        self.listening = True
        self.heard()

    def _told(self, message: str) -> None:
        held_until = self.holdings.hold_until
        is_due = self.holdings.told(message, monotonic())
        if self.holdings.hold_until > held_until:
            self.gates.was_held()
        if is_due:
            self.heard()
        elif self.holdings.spare > 0:
            self.gates.pump(self.holdings)
            if self.holdings.spare > 0:
                self.wake()
