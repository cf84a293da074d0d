"""The table of the libraries whose calls we recognise: a row a library.

A call is looked up by a resolved name: `requests.post`, or for a method of a client `requests.Session().post`, where
`()` stands for the call that makes the client. `lookup` matches names with the rows.
"""

from __future__ import annotations

from .amazon import AMAZON
from .model_apis import MODEL_APIS
from .rows import Library
from .transports import ADAPTER, TRANSPORTS

LIBRARIES: tuple[Library, ...] = (*TRANSPORTS, *MODEL_APIS, *AMAZON)

ADAPTERS = frozenset(
    name.partition("()")[0] for row in LIBRARIES for name, why in row.refused.items() if why == ADAPTER
)
"""Classes whose instances are inside a session, and send its requests."""
