"""A client of the second Python SDK, or of fastmcp: v2_client.py mcp|fastmcp URL | -- CMD..."""

import asyncio
import contextlib
import sys

library, place, *rest = sys.argv[1:]
if library == "fastmcp":
    from fastmcp import Client
    from fastmcp.client.transports import StdioTransport
else:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client


def target():
    if place != "--":
        if library == "mcp" and place.endswith("/sse"):
            from mcp.client.sse import sse_client

            return sse_client(place)
        return place
    if library == "fastmcp":
        return StdioTransport(command=rest[0], args=rest[1:])
    return stdio_client(StdioServerParameters(command=rest[0], args=rest[1:]))


async def shown(answer):
    """An error answer is part of the show."""
    try:
        await answer
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)


async def ignore(*_):
    pass


async def main():
    async with Client(target()) as client:
        await shown(client.list_tools())
        await shown(client.call_tool("echo", {"message": "hello"}))
        await asyncio.gather(*(shown(client.call_tool("echo", {"message": word})) for word in ("one", "two")))
        await shown(client.call_tool("fail", {}))
        await shown(client.call_tool("absent", {}))
        given = {"progress_handler": ignore} if library == "fastmcp" else {"progress_callback": ignore}
        await shown(client.call_tool("progress", {"count": 3}, **given))
        await shown(client.list_resources())
        await shown(client.read_resource("note://example"))
        await shown(client.list_prompts())
        await shown(client.get_prompt("greet"))


asyncio.run(main())
