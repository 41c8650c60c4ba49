"""The truth about the calls of this client: requests matched with their answers where the messages pass."""

import contextlib
import glob
import json
import os
import time

import anyio
from mcp.shared.message import SessionMessage

REVERSED = {"client_to_server": "server_to_client", "server_to_client": "client_to_server"}


def show(line):
    print(json.dumps(line), flush=True)


def outcome(message):
    if "error" in message:
        return "rpc_error"
    result = message["result"]
    if result.get("resultType") in ("input_required", "task"):
        return result["resultType"]
    return "tool_error" if result.get("isError") else "ok"


def child_pid():
    """The one process that this one has started; the SDK does not tell its number."""
    for path in glob.glob("/proc/self/task/*/children"):
        with contextlib.suppress(OSError), open(path) as children:
            for pid in children.read().split():
                return int(pid)
    return None


class Ledger:
    def __init__(self):
        self.server_pid = None
        self._open = {}
        self._negotiated = None

    def meet(self, server_pid=None):
        """Says who takes part: this process, and the server if it has started one."""
        self.server_pid = server_pid
        line = {"type": "peer", "client_pid": os.getpid(), "server_pid": server_pid}
        show({name: value for name, value in line.items() if value})

    def passed(self, direction, message):
        """Notes a message that went from client to server or back."""
        method, identity, params = message.get("method"), message.get("id"), message.get("params") or {}
        if method and identity is not None:
            meta = params.get("_meta") or {}
            self._open[direction, json.dumps(identity)] = {
                "method": method,
                "tool": params.get("name") if method == "tools/call" else None,
                "id": identity,
                # A session without `initialize` says with each request what it speaks.
                "revision": meta.get("io.modelcontextprotocol/protocolVersion", self._negotiated),
                "progress": 0,
                "token": meta.get("progressToken"),
                "start": time.time_ns(),
            }
        elif method == "notifications/progress":
            for call in self._open.values():
                if call["token"] is not None and call["token"] == params.get("progressToken"):
                    call["progress"] += 1
        elif method == "notifications/cancelled":
            self._ended(direction, params.get("requestId"), "cancelled")
        elif not method:
            self._agreed(self._open.get((REVERSED[direction], json.dumps(identity))), message)
            self._ended(REVERSED[direction], identity, outcome(message))

    def close(self):
        """The session is over: what is still open will not be answered."""
        for (direction, _), call in list(self._open.items()):
            self._ended(direction, call["id"], "abandoned")

    def _agreed(self, call, message):
        """The answer to `initialize` says what the session speaks."""
        if call and call["method"] == "initialize" and "result" in message:
            call["revision"] = self._negotiated = message["result"]["protocolVersion"]

    def _ended(self, direction, identity, how):
        call = self._open.pop((direction, json.dumps(identity)), None)
        if call is None:
            return
        start, end = call["start"], time.time_ns()
        line = {
            "type": "call",
            "direction": direction,
            "client_pid": os.getpid(),
            "server_pid": self.server_pid,
            "method": call["method"],
            "tool": call["tool"],
            "id": call["id"],
            "revision": call["revision"],
            "outcome": how,
            "progress": call["progress"],
            "duration_ms": (end - start) / 1e6,
            "start_unix_ns": start,
            "end_unix_ns": end,
        }
        show({name: value for name, value in line.items() if value is not None})

    @contextlib.asynccontextmanager
    async def watching(self, read, write):
        """Puts itself between a transport's streams and the session."""
        inner_send, inner_read = anyio.create_memory_object_stream(0)
        outer_write, outer_receive = anyio.create_memory_object_stream(0)

        async def forward(source, target, direction):
            async with target:
                async for item in source:
                    if isinstance(item, SessionMessage):
                        message = item.message.model_dump(by_alias=True, exclude_none=True)
                        self.passed(direction, message)
                    await target.send(item)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(forward, read, inner_send, "server_to_client")
            tasks.start_soon(forward, outer_receive, write, "client_to_server")
            yield inner_read, outer_write
            tasks.cancel_scope.cancel()
