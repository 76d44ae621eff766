"""An app of Foxglove's, as far as it looks: a WebSocket client that subscribes to all that is there."""

import json
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp


@dataclass
class Seen:
    """What an app has got."""

    channels: dict[str, dict[str, Any]] = field(default_factory=dict)  # by topic
    messages: list[tuple[str, int, bytes]] = field(default_factory=list)  # topic, stamp, body

    def bodies(self, topic: str) -> list[bytes]:
        return [body for name, _, body in self.messages if name == topic]


async def look(port: int, seen: Seen) -> None:
    """Look until the server ends."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{port}/", protocols=["foxglove.sdk.v1"], max_msg_size=0) as link,
    ):
        assert link.protocol == "foxglove.sdk.v1"
        topics: dict[int, str] = {}
        async for message in link:
            said = json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else {}
            if said.get("op") == "advertise":
                for channel in said["channels"]:
                    topics[channel["id"]] = channel["topic"]
                    seen.channels[channel["topic"]] = channel
                wanted = [{"id": each["id"], "channelId": each["id"]} for each in said["channels"]]
                await link.send_json({"op": "subscribe", "subscriptions": wanted})
            elif message.type is aiohttp.WSMsgType.BINARY and message.data[0] == 1:
                number, stamp_ns = struct.unpack_from("<IQ", message.data, 1)
                seen.messages.append((topics[number], stamp_ns, message.data[13:]))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def viewer_pids(recorder: int) -> list[int]:
    """The processes of viewers that a recorder has started."""
    children = Path(f"/proc/{recorder}/task/{recorder}/children")
    return [int(pid) for pid in children.read_text().split()]


def connected(port: int, state: str = "01") -> bool:
    """Return True if a connection to a port of this machine is open; state 0A: if one listens there."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(each[1].endswith(f":{port:04X}") and each[3] == state for each in lines)
