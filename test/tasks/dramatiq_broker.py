"""What a Dramatiq worker of the tests imports: `dramatiq test.tasks.dramatiq_broker`."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from backend_retrofit_runtime.tasks import DramatiqQueue

from .apis import LimitedApi, NamedApi, TaskApi, make_named

broker = RedisBroker(url=os.environ["TASK_TEST_REDIS"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["TASK_TEST_REDIS"])))
dramatiq.set_broker(broker)
queue = DramatiqQueue(broker, serves={TaskApi: TaskApi, NamedApi: make_named, LimitedApi: LimitedApi})
