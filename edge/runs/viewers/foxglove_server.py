"""Serves a drive to Foxglove's app: a consumer behind the tap with the topics and schemas of a recording."""

import errno
import logging
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.runs.recording.images import as_jpeg
from edge.runs.tap.events import TapEvent
from edge.runs.tap.messages import (
    TOPICS,
    EventMessage,
    EventMessages,
    camera_topic,
    fixed_message,
    wall_minus_monotonic_ns,
)
from edge.runs.viewers.shown import WIDTH_PX

HOST = "127.0.0.1"
BACKLOG = 512  # messages that wait for one app, some 3 s of a drive; the oldest go first
LISTEN_S = 2.0  # for the port: the same run may hold it, before its engine was started again
END_S = 0.3  # for the apps to take the last messages
STOP_S = 1.0  # for the server to let go of them
ONCE = ("header", "start")  # said once in a run; who comes later gets them too
LOSSY = "foxglove.websocket.connected_client.send_lossy"  # where the package logs that it drops messages

log = logging.getLogger(__name__)


class DropWatch(logging.Handler):
    """Hears from the package's log that an app has lost messages. It does not tell how many."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.dropped = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of it: nothing else is logged there."""
        self.dropped = True


class FoxgloveServer:
    """Listens at a port of this machine alone, for any number of apps. An app that is slow loses messages."""

    def __init__(self, port: int, run: Path) -> None:
        self.name = f"Foxglove at port {port}"
        self._port, self._run = port, run
        self._messages = EventMessages(hashed=False)
        self._foxglove: Any = None  # the package, which is slow to import and not always there
        self._channels: dict[str, Any] = {}
        self._once: dict[str, tuple[bytes, int]] = {}  # by topic: body and stamp
        self._context: Any = None
        self._server: Any = None
        self._drops = DropWatch()

    def take(self, event: TapEvent) -> None:
        """Publish an event. Raises OSError if nothing can listen at the port."""
        if self._server is None:
            self._server = self._listen()
        if event.topic == "image":
            topic = camera_topic(event.data["camera"])
            if topic in self._channels and not self.watched(topic):
                return
            event = as_jpeg(event, WIDTH_PX)
        for message in self._messages.of(event):
            self._publish(message, event)

    def finish(self, whole: bool) -> list[str]:
        """Let go of the apps."""
        if self._server is not None:
            if any(map(self.watched, self._channels)):
                time.sleep(END_S)  # the server stops at once, whatever waits
            stopping = threading.Thread(target=self._server.stop, daemon=True)
            stopping.start()
            stopping.join(STOP_S)  # it waits for an app that takes nothing any more
        logging.getLogger(LOSSY).removeHandler(self._drops)
        too_slow = f"an app took them too slowly: it lacks messages, the oldest whenever {BACKLOG} waited"
        return [too_slow] if self._drops.dropped else []

    def watched(self, topic: str) -> bool:
        """Return True if an app looks at a topic."""
        return topic in self._channels and self._channels[topic].has_sinks()

    def on_subscribe(self, client: Any, channel: Any) -> None:
        """Say again what is said once: an app has just come. Called by a thread of the server."""
        said = self._once.get(channel.topic)
        if said is not None:
            self._channels[channel.topic].log(said[0], log_time=said[1])

    def on_unsubscribe(self, client: Any, channel: Any) -> None:
        """Do nothing; the server asks for it."""

    def _listen(self) -> Any:
        foxglove = self._foxglove = import_module("foxglove")

        logging.getLogger("foxglove").setLevel(logging.ERROR)  # it tells of every app that comes and goes
        lossy = logging.getLogger(LOSSY)
        lossy.setLevel(logging.INFO)
        lossy.propagate = False
        lossy.addHandler(self._drops)
        self._context = foxglove.Context()
        for topic in TOPICS:  # before any app, so that it does not miss the first message of one
            self._channels[topic] = self._channel(fixed_message(topic, b""))
        deadline_s = time.monotonic() + LISTEN_S
        while True:
            try:
                return foxglove.start_server(
                    name=f"vla-edge {self._run.name}",
                    host=HOST,
                    port=self._port,
                    context=self._context,
                    server_listener=self,
                    message_backlog_size=BACKLOG,
                )
            except RuntimeError as error:
                if time.monotonic() > deadline_s:
                    why = f"nothing can listen at {HOST}:{self._port}"
                    raise OSError(errno.EADDRINUSE, why) from error
                time.sleep(0.1)

    def _publish(self, message: EventMessage, event: TapEvent) -> None:
        channel = self._channels.get(message.topic)
        if channel is None:
            channel = self._channels[message.topic] = self._channel(message)
        stamp_ns = event.stamp_ns + wall_minus_monotonic_ns()
        if event.topic in ONCE:
            self._once[message.topic] = message.body, stamp_ns
        channel.log(message.body, log_time=stamp_ns)

    def _channel(self, message: EventMessage) -> Any:
        encoding, content = message.schema_content()
        schema = self._foxglove.Schema(name=message.schema, encoding=encoding, data=content)
        return self._foxglove.Channel(
            message.topic, schema=schema, message_encoding=message.encoding, context=self._context
        )
