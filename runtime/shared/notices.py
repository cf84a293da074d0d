"""What an account's client tells the log: once for each change, and where no lock is held."""

from __future__ import annotations

import logging

from .holdings import Holdings

_DOES = {"share": "goes on with its share of the limit", "wait": "starts nothing"}


class Notices:
    """A WARNING when the server is away or says another limit, and an INFO when it is back."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.reason = ""  # why the server is away, until that is told
        self.told_of_limit = False

    def away(self, holdings: Holdings) -> None:
        """Say that the server is away, if that is news."""
        reason, self.reason = self.reason, ""
        if reason:
            self.logger.warning(
                "the shared queue cannot be reached (%s): until it can, this process %s",
                reason,
                _DOES.get(holdings.terms.fallback, "goes on with its own limit"),
            )

    def back(self, holdings: Holdings) -> None:
        self.logger.info("the shared queue is back: one limit for %d processes again", holdings.processes)

    def compare_limits(self, holdings: Holdings) -> None:
        if holdings.limit != holdings.terms.limit and not self.told_of_limit:
            self.told_of_limit = True
            self.logger.warning(
                "max_concurrent_requests is %d here, but a process that joined later, or changed it later, says %d: "
                "that is the limit of the account", holdings.terms.limit, holdings.limit,
            )  # fmt: skip

    def ended(self, what: str, error: Exception) -> None:
        self.logger.debug("the shared queue%s: %s", what, type(error).__name__)
