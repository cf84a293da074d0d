"""The exceptions that the queue itself raises.

What an API or a client library raises passes through as it is; what it means is read in `failures`.
"""


class QueueError(RuntimeError):
    """A request was not made, or not waited for, because of the queue; the API has no part in it."""


class RequestQueueFull(QueueError, ValueError):
    """As many requests wait already as `queue_size` allows."""


class RequestTimeout(QueueError, TimeoutError):
    """A request waited longer than `queue_timeout`, or took longer than `total_timeout`."""


class QueueClosed(QueueError):
    """The backend was closed while the request waited, or before it was made."""


class InstanceLeft(QueueClosed):
    """A request was waiting out its backoff when another thread left its instance's own `with`: it is not made again.

    Its caller gets what the last attempt has brought, as without the queue.
    """


class CircuitOpen(QueueError):
    """The last `circuit_breaker` attempts failed, so requests stop for a while."""
