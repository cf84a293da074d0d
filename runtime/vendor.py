"""What one library may say for itself: a row of `VENDORS`, made by its file in `vendors/`.

The rows are asked on slow paths only: of an attempt that failed, of a result that may be a stream, of a call that is seen
for the first time. Whatever holds for many libraries stands where it is used, and not here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .engine import RequestEngine
    from .failures import Failure
    from .slots import Slot


class Vendor(NamedTuple):
    """What is known of one library; all but its name may be missing.

    Attributes:
        name: of the library.
        failure: (exception, or dict that was returned; name of the exception that was raised, or "") -> what it says.
        is_stream: (result) -> True if it is still to be read.
        hold: (result, slot) -> True if it keeps the slot from now on, until it is read or closed.
        once: (call, the object whose method it is or None, engine) -> the same call without the library's own retries;
            None where it is none of this library's.
        awaits: (call, class of the object whose method it is) -> True if the call gives something to be awaited or
            entered, though it is no coroutine function.
    """

    name: str
    failure: "Callable[[Any, str], Failure | None] | None" = None
    is_stream: "Callable[[Any], bool] | None" = None
    hold: "Callable[[Any, Slot], bool] | None" = None
    once: "Callable[[Any, Any, RequestEngine], Any] | None" = None
    awaits: "Callable[[Any, type], bool] | None" = None


VENDORS: list[Vendor] = []
