"""What a Celery worker of the tests imports: `celery -A test.tasks.celery_app worker`."""

import os

from celery import Celery

from backend_retrofit_runtime.tasks import CeleryQueue

from .apis import LimitedApi, NamedApi, TaskApi

app = Celery("tasks", broker=os.environ["TASK_TEST_REDIS"], backend=os.environ["TASK_TEST_REDIS"])
app.conf.broker_connection_retry_on_startup = True
queue = CeleryQueue(
    app, serves={TaskApi: TaskApi, NamedApi: "test.tasks.apis:make_named", LimitedApi: LimitedApi}
)
