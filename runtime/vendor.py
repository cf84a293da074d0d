"""What one library may say for itself: a row of `VENDORS`, made by its file in `vendors/`.

The rows are asked on slow paths only: of an attempt that failed, of a result that may be a stream, of a call that is seen
for the first time. The quick looks before them read three sets, to which the same files add: `RETRYING_MODULES` in
`call_kinds`, `ANSWER_KEYS` in `probing`, `RAISED_WITHOUT_CAUSE` in `failures`.
Whatever holds for many libraries stands where it is used, and not here.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .failures import Failure
    from .slots import Slot


class Handling(NamedTuple):
    """How a call is to be made, so that one layer retries each of its requests.

    Attributes:
        call: what is called: the same call without the library's own retries, or as it was.
        retry: False: it is queued only. The library retries, or its owner has said how, or it makes several requests.
        prepare: (call, args, kwargs) -> Prepared, asked for each request where its arguments decide, or where they are
            to be completed before the first attempt.
    """

    call: Any
    retry: bool = True
    prepare: "Callable[[Any, tuple[Any, ...], dict[str, Any]], Prepared] | None" = None


# Of a call that the library makes once, however it is called: nothing is to be turned off.
AS_IT_IS = Handling(None)


class Prepared(NamedTuple):
    """One request, as its arguments want it to be made."""

    call: Any
    args: Any
    kwargs: Any
    retry: bool = True


class Vendor(NamedTuple):
    """What is known of one library. All but the name may be missing.

    Attributes:
        name: of the library.
        failure: called with an exception and the name of the one that was raised, or with a dict that was returned and
            ""; returns what it says, or None.
        retries_status: called with a call, the exception that it raised, and its status, which is final elsewhere; returns
            True if the library, whose own retries are turned off, would repeat the request.
        is_stream: called with a result; returns True if it is this library's, and still to be read.
        hold: called with such a result and the slot; returns True if it keeps the slot from now on.
        handling: called with a call and the object whose method it is (or None); returns how it is made, or None.
        repeatable: called with a call, the object whose method it is (or None), args and kwargs; returns True if it may be
            made again though it may have been done, or None where this library does not tell.
        is_cut: called with a good response; returns True if its connection ended within its headers.
        was_kept: called with the variables of a frame in which a connection ended; returns True if it had answered before.
        awaits: called with a call and the class of the object whose method it is; returns True if the call gives
            something to be awaited or entered, although its function is not `async def`.
        hears: called with a call where rates are learnt, however it is handled; returns it, or the same call with the headers
            of its answer put into the slot, where the result does not show them.
        sent_again: called with a response that failed; returns True if a hook, or an auth flow, of its
            owner's has sent the request again.
        owned: names of the attributes by which `handling` may know an object of any class, besides the class.
    """

    name: str
    failure: "Callable[[Any, str], Failure | None] | None" = None
    retries_status: "Callable[[Any, Any, int], bool] | None" = None
    is_stream: "Callable[[Any], bool] | None" = None
    hold: "Callable[[Any, Slot], bool] | None" = None
    handling: "Callable[[Any, Any], Handling | None] | None" = None
    repeatable: "Callable[[Any, Any, Any, Any], bool | None] | None" = None
    is_cut: "Callable[[Any], bool] | None" = None
    was_kept: "Callable[[Mapping[str, Any]], bool] | None" = None
    awaits: "Callable[[Any, type], bool] | None" = None
    hears: "Callable[[Any], Any] | None" = None
    sent_again: "Callable[[Any], bool] | None" = None
    owned: "tuple[str, ...]" = ()


VENDORS: list[Vendor] = []
