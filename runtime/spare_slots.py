"""Slots that are held without a request under way, found when others wait for one."""

import math
from typing import TYPE_CHECKING

from .clocks import monotonic
from .slots import Slot
from .workers import waits_for_other_threads

if TYPE_CHECKING:
    from .held_slots import HeldSlots

# How long a submitted method may hold a slot without a request while others wait for one, in seconds.
PREPARING = 0.05
# How long an open stream must not have been read before its slot serves who waits, if all slots are held by such, in seconds.
_STALLED = 1.0


def find_spare(gate: "HeldSlots", slot: Slot) -> bool:
    """With all slots taken: let `slot` have one that is held without a request under way, or return False.

    What was submitted may hand its work to other threads, and who reads a stream may do so between two reads. Nothing
    says whose work a request is, so what they hold serves whoever is first in line: otherwise they might wait forever.
    A submitted method holds one from its start to its first request; that of a stream is back when the other has ended.
    """
    now = monotonic()
    if now < gate.look_at:
        return False
    gate.look_at = math.inf
    stalled = (
        len(gate.keepers) >= gate.active
    )  # no other request is under way, whose end would admit the next
    for keeper in list(gate.keepers):
        if keeper.held != gate.generation:
            del gate.keepers[keeper]
            continue
        wait, spares = _STALLED, stalled
        if keeper.is_submitted:
            wait = PREPARING
            spares = keeper.of_method or (stalled and waits_for_other_threads(keeper.thread))
        if now < keeper.used_at + wait or not spares:
            if keeper.of_method or stalled:
                again = keeper.used_at + wait
                if not now < again < math.inf:
                    again = now + max(wait, (now - keeper.used_at) / 2)
                gate.look_at = min(gate.look_at, again)
            continue
        if keeper.is_stream:
            gate.take_over(slot, keeper)
        else:
            gate.give_back(keeper)
            keeper.makes_requests = True
        gate.look_at = 0.0 if stalled else gate.look_at
        return True
    return False
