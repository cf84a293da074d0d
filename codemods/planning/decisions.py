"""Decides about a call site: wrap it, queue it without a second backoff, leave it, or take its wrap out."""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks.wraps import block_of
from ..finding.calls import Site
from ..model import Decision, Options
from .opt_outs import NO_RETRY, SKIP, written


@dataclass(frozen=True)
class Home:
    """What a decision asks of the class that a call site is in, or of the module.

    Attributes:
        refused: why it cannot have blocks, or nothing.
        entry_point: what its calls can go through; empty if it is to get no block that has one.
        defines_entry_point: it, or a base of it, has a block in the file that calls can go through.
        what: it is, in a word.
    """

    refused: str
    entry_point: str
    defines_entry_point: bool
    what: str = "class"

    @property
    def has_queue(self) -> bool:
        """Whether its calls go through a queue, and not only through the backoff."""
        return bool(self.entry_point) and block_of(self.entry_point) == "queue"


@dataclass(frozen=True)
class SiteDecision:
    """What becomes of a call site, and why.

    Attributes:
        entry_point: what it goes through; empty if it is not wrapped.
        calls_for_blocks: its class is to have blocks because of it.
    """

    site: Site
    decision: Decision
    reason: str
    entry_point: str = ""
    calls_for_blocks: bool = False


def decide(site: Site, home: Home | None, options: Options, opt_out: str = "") -> SiteDecision:
    """Decide about a call site.

    Args:
        home: its class, or module; None if there is an obstacle to wrapping it.
        opt_out: what the user has written beside it, see `opt_outs`.
    """
    if opt_out == SKIP:
        decision = Decision.SKIPPED if site.wrapper is None else Decision.UNWRAPPED
        return SiteDecision(site, decision, f"{written(SKIP)} is written there")
    if home is None:
        return _left_alone(site, home, site.obstacle)
    wanted = (
        not site.retried
        or site.wrapper is not None
        or options.existing == "wrap"
        or (options.existing == "queue-only" and home.has_queue)
    )
    if not wanted:
        what = "" if options.existing == "skip" else f", and the {home.what} has no queue"
        return _left_alone(site, home, site.note + what)
    if home.refused:
        return _left_alone(site, home, f"the {home.what} is refused: {home.refused}", wanted)
    if not home.entry_point:
        return _left_alone(site, home, "neither the queue nor the backoff block was asked for", wanted)
    decision, reason = Decision.WRAPPED, site.note
    if opt_out == NO_RETRY:
        if not home.has_queue:
            return _left_alone(
                site, home, f"{written(NO_RETRY)} is written there, and the {home.what} has no queue"
            )
        decision, reason = Decision.QUEUED_ONLY, f"{written(NO_RETRY)} is written there"
    elif site.wrapper is not None and site.wrapper.keywords:
        decision, reason = Decision.QUEUED_ONLY, site.note or "`retry=False` is written there"
    elif site.wrapper is not None and site.retried:
        reason = ""  # somebody has taken `retry=False` away
    elif site.retried and options.existing != "wrap":
        decision, reason = Decision.QUEUED_ONLY, f"{site.note}: queued, without a second backoff"
    return SiteDecision(site, decision, reason, home.entry_point, wanted)


def _left_alone(site: Site, home: Home | None, reason: str, calls_for_blocks: bool = False) -> SiteDecision:
    """Leave a call site as it is; but take out a wrap that cannot work as it stands."""
    decision = Decision.SKIPPED
    if site.wrapper is not None and (site.stray or (home is not None and not home.defines_entry_point)):
        decision, reason = Decision.UNWRAPPED, f"{reason}; its wrap was left over"
    elif site.wrapper is not None:
        reason = f"{reason}; it is wrapped, which works only with an instance that has the queue"
    return SiteDecision(site, decision, reason, calls_for_blocks=calls_for_blocks)
