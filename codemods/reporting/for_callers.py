"""Says in one line what a new queue changes for those who call (Q4): a call may wait, and one too many is refused."""

from __future__ import annotations

from collections.abc import Iterable

from ..blocks.templates import OPTIONS
from ..model import FUNCTIONS, FilePlan, Options


def for_callers(plans: Iterable[FilePlan], options: Options) -> str:
    """Return what changes for callers of the classes and modules that get a queue; nothing if none gets one."""
    new = {
        block.block
        for plan in plans
        if plan.changed and not plan.problems
        for cls in plan.classes
        for block in cls.blocks
        if block.change == "added"
    }
    owners = [owner for block, owner in (("queue", "an instance"), (FUNCTIONS, "a module")) if block in new]
    if not owners or options.remove:
        return ""
    settings = {name: option.default for name, option in OPTIONS.items()} | dict(options.settings)
    if not settings["queue_enabled"]:
        return "For callers nothing changes yet: the queue is off until queue_enabled is set."
    most, size = settings["max_concurrent_requests"], settings["queue_size"]
    told = f"For callers: at most {most} requests of {' or '.join(owners)} run at once (max_concurrent_requests), and "
    if size is None:
        return f"{told}all others wait for their turn (queue_size)."
    told += f"up to {size} more wait (queue_size); "
    if settings["queue_full"] == "wait":
        return f"{told}beyond that they wait for room (queue_full)."
    return f'{told}beyond that RequestQueueFull is raised: set queue_full = "wait" to wait instead.'
