"""Redis or Valkey, through redis-py (4.5 or newer), which is imported only here."""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .messages import Reply, Report
from .script import LUA

_POLL_SECONDS = 0.5
"""How long the subscriber listens before it looks whether it is to end. Messages wake it at once."""


class RedisServer:
    """Two connections to the server of an account: one for steps, one that listens.

    Args:
        url: `redis://`, `rediss://` or `unix://`. It is kept out of `repr`, logs and messages, for its password.
        account: a hash that names the account in the keys.
        timeout: seconds that connecting, and an answer, may take.
    """

    elects = False

    def __init__(self, url: str, account: str, timeout: float) -> None:
        import redis

        self._redis: Any = redis
        self._url = url
        self.timeout = timeout
        self.channel = f"request-queue:{{{account}}}:"
        self.keys = [self.channel + name for name in ("state", "line", "checks")]
        self.sha = hashlib.sha1(LUA.encode()).hexdigest()  # the name that EVALSHA wants
        self.cluster = self._is_known = False
        self.trust = True
        self.publish = "PUBLISH"
        self.closed = threading.Event()
        self._client: Any = None
        self._pubsub: Any = None

    def _client_of(self, cluster: bool) -> Any:
        scheme = urlsplit(self._url).scheme
        options: dict[str, Any] = {"socket_timeout": self.timeout}
        if scheme != "unix":
            options["socket_connect_timeout"] = self.timeout
        if scheme == "rediss":
            options["ssl_check_hostname"] = True
        if cluster:
            return self._redis.cluster.RedisCluster.from_url(self._url, **options)
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options["retry"] = Retry(NoBackoff(), 0)
        if "protocol" in inspect.signature(self._redis.connection.Connection.__init__).parameters:
            options["protocol"] = 2
        return self._redis.Redis.from_url(self._url, **options)

    def step(self, report: Report) -> Reply:
        """Make a step; raise what redis-py raises where the server does not make it."""
        if self._client is None:
            self._client = self._client_of(self.cluster)
        if not self._is_known and self._is_of_a_cluster():
            self._client = self._client_of(True)
            report = report._replace(trust=0, publish=self.publish)
        arguments = [*self.keys, *report.arguments()]
        try:
            try:
                answer = self._client.evalsha(self.sha, len(self.keys), *arguments)
            except self._redis.exceptions.NoScriptError:
                answer = self._client.eval(LUA, len(self.keys), *arguments)
            reply = Reply(*map(int, answer))
            if reply.seq != report.seq:
                raise ConnectionError("an answer to another report")
            return reply
        except self._redis.exceptions.MovedError:
            if self.cluster:
                raise
            self._use_cluster()
            return self.step(report._replace(trust=0, publish=self.publish))
        except BaseException:
            self._disconnect()
            raise

    def _is_of_a_cluster(self) -> bool:
        """Find out once, and go on with the cluster: a client that asks the right node by chance is never told."""
        try:
            enabled = bool(self._client.info("cluster").get("cluster_enabled"))
        except self._redis.exceptions.ResponseError:  # no right to ask
            enabled = False
        except BaseException:
            self._disconnect()
            raise
        self._is_known = True
        if enabled:
            self._use_cluster()
        return enabled

    def _use_cluster(self) -> None:
        """Go on with a cluster of several nodes, where a count of receivers says nothing."""
        self.cluster, self.trust = True, False
        if hasattr(self._redis.client.PubSub, "ssubscribe"):
            self.publish = "SPUBLISH"
        self._disconnect()

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def listen(self, name: str, told: Callable[[str], None], listening: Callable[[], None]) -> None:
        """Pass on the messages for a process, until `close`; raise what redis-py raises when the connection ends.

        Args:
            listening: called once the server has confirmed the subscription.
        """
        cluster = self.cluster
        client = self._client_of(cluster)
        sharded = cluster and self.publish == "SPUBLISH"
        try:
            self._pubsub = pubsub = client.pubsub()
            (pubsub.ssubscribe if sharded else pubsub.subscribe)(self.channel + name, self.channel)
            get_message = pubsub.get_sharded_message if sharded else pubsub.get_message
            confirmed = 0
            while not self.closed.is_set() and self.cluster == cluster:
                message = get_message(timeout=_POLL_SECONDS)
                if message is None:
                    continue
                if message["type"] in ("subscribe", "ssubscribe"):
                    confirmed += 1
                    if confirmed == 2:
                        listening()
                elif message["type"] in ("message", "smessage"):
                    data = message["data"]
                    told(data.decode() if isinstance(data, bytes) else data)
        finally:
            client.close()

    def hang_up(self) -> None:
        """End the connection that listens: who comes next is not to take this process for one that is still there."""
        self.closed.set()
        connection = getattr(self._pubsub, "connection", None)
        if connection is not None:
            connection.disconnect()

    def close(self) -> None:
        """End the connections."""
        self.hang_up()
        self._disconnect()

    def end(self) -> None:
        """The interpreter ends."""
        self.close()

    def after_fork(self) -> None:
        """In the child of a fork: the connections are the parent's."""
        self.closed = threading.Event()
        self._client = self._pubsub = None
