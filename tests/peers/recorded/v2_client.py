"""A client of the second Python SDK, or of fastmcp: takes the steps that it is told to, or else shows all it can.

See v2_peer.py for how to start it.
"""

import asyncio
import contextlib
import json
import sys

from v2_peer import connected, parsed

SHOW = [
    {"tool": "echo", "arguments": {"message": "hello"}},
    {"tool": "echo", "arguments": {"message": "two at once"}, "repeat": 2, "concurrency": 2},
    {"tool": "fail"},
    {"tool": "absent"},
    {"tool": "progress", "arguments": {"count": 3}},
    {"tool": "ask"},
    {"method": "resources/list"},
    {"method": "resources/read"},
    {"method": "prompts/list"},
    {"method": "prompts/get"},
]


async def ignore(*_):
    pass


async def accept(*_):
    from mcp_types import ElicitResult

    return ElicitResult(action="accept", content={"sure": True})


class Show:
    def __init__(self, client, fastmcp):
        self.client = client
        self.streams = contextlib.AsyncExitStack()
        self.progress = "progress_handler" if fastmcp else "progress_callback"
        self.timeout = "timeout" if fastmcp else "read_timeout_seconds"
        self.ping = client.ping if fastmcp else client.send_ping

    async def listen(self):
        """Listens to two streams until each has told something; the first goes on until the end."""
        tools = await self.streams.enter_async_context(self.client.listen(tools_list_changed=True))
        async with self.client.listen(resource_subscriptions=["note://example"]) as notes:
            await self.client.call_tool("touch", {})
            await anext(aiter(tools))
            await anext(aiter(notes))

    async def request(self, step):
        match step.get("method", "tools/call"):
            case "subscriptions/listen":
                await self.listen()
            case "ping":
                await self.ping()
            case "tools/list":
                await self.client.list_tools()
            case "resources/list":
                await self.client.list_resources()
            case "resources/read":
                await self.client.read_resource("note://example")
            case "prompts/list":
                await self.client.list_prompts()
            case "prompts/get":
                await self.client.get_prompt("greet")
            case _:
                options = {self.progress: ignore}
                if "timeout_ms" in step:
                    options[self.timeout] = step["timeout_ms"] / 1000
                await self.client.call_tool(step["tool"], step.get("arguments", {}), **options)

    async def take(self, step):
        left = step.get("repeat", 1)

        async def lane():
            nonlocal left
            while left > 0:
                left -= 1
                try:
                    await self.request(step)
                except Exception as error:
                    # An error answer is an outcome like any other, and printed as one.
                    print(type(error).__name__, error, file=sys.stderr)

        await asyncio.gather(*(lane() for _ in range(step.get("concurrency", 1))))


async def main():
    arguments = parsed()
    steps = [json.loads(call) for call in arguments.call] if arguments.call else SHOW
    options = {} if arguments.fastmcp else {"elicitation_callback": accept}
    async with connected(arguments, **options) as client:
        show = Show(client, arguments.fastmcp)
        async with show.streams:
            for step in [{"method": "tools/list"}, *steps]:
                await show.take(step)


asyncio.run(main())
