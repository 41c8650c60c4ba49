"""A client of the second Python SDK that waits: streams of subscriptions, and rounds of input that it is asked for.

v2_listen_client.py URL | -- CMD...
"""

import asyncio
import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import ElicitResult

place, *rest = sys.argv[1:]


async def answer(_context, _params):
    return ElicitResult(action="accept", content={"sure": True})


async def main():
    target = place if place != "--" else stdio_client(StdioServerParameters(command=rest[0], args=rest[1:]))
    async with Client(target, elicitation_callback=answer) as client:
        async with client.listen(tools_list_changed=True) as tools:
            async with client.listen(resource_subscriptions=["note://example"]) as notes:
                await client.call_tool("touch", {})
                await anext(aiter(tools))
                await anext(aiter(notes))
            await client.list_tools()
            await asyncio.gather(client.call_tool("ask", {}), client.call_tool("ask", {}))
            await client.call_tool("ask_twice", {})


asyncio.run(main())
