"""The queue past one machine: `submit` and `map` on an existing task engine. Only in the installed runtime.

    from backend_retrofit_runtime.tasks import CeleryQueue  # or DramatiqQueue, RayQueue

    queue = CeleryQueue(app, serves=[MyApi])  # in a module that the workers import, too
    api.submit_to = queue
    future = api.submit(api.chat, …)

The engine is imported when its queue is made. What travels: `travel`.
"""

from .on_celery import CeleryQueue
from .on_dramatiq import DramatiqQueue
from .on_ray import RayQueue

__all__ = ["CeleryQueue", "DramatiqQueue", "RayQueue"]
