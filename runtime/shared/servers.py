"""What a server is to the client."""

from __future__ import annotations

from typing import Any, Protocol

from .messages import Reply, Report


class Server(Protocol):
    """`RedisServer`, `MachineServer`."""

    trust: bool
    publish: str
    channel: str
    elects: bool
    """When it ends, another takes its place: that is waited for, before this process goes on alone."""

    def step(self, report: Report) -> Reply: ...
    def listen(self, name: str, told: Any, listening: Any) -> None: ...
    def hang_up(self) -> None: ...
    def close(self) -> None: ...
    def end(self) -> None: ...
    def after_fork(self) -> None: ...
