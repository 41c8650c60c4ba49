"""An MCP client of the Python SDK: client.py --url URL [--sse] | --stdio, [--call JSON]... [-- CMD...].

Without --call the steps are lines of standard input. A certificate authority comes by SSL_CERT_FILE.
"""

import argparse
import contextlib
import datetime
import json
import sys

import anyio
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation
from truth import Ledger, child_pid


def connected(arguments):
    if arguments.stdio:
        command, *rest = arguments.command
        return stdio_client(StdioServerParameters(command=command, args=rest))
    return sse_client(arguments.url) if arguments.sse else streamable_http_client(arguments.url)


async def ignore_progress(_progress, _total, _message):
    pass


async def request(session, step):
    timeout = step.get("timeout_ms")
    timeout = datetime.timedelta(milliseconds=timeout) if timeout else None
    try:
        match step.get("method", "tools/call"):
            case "ping":
                await session.send_ping()
            case "tools/list":
                await session.list_tools()
            case _:
                await session.call_tool(
                    step["tool"], step.get("arguments", {}), timeout, progress_callback=ignore_progress
                )
    except McpError:
        pass  # An error answer is an outcome like any other, and printed as one.


async def take(session, step):
    left = step.get("repeat", 1)

    async def lane():
        nonlocal left
        while left > 0:
            left -= 1
            await request(session, step)

    async with anyio.create_task_group() as tasks:
        for _ in range(step.get("concurrency", 1)):
            tasks.start_soon(lane)


async def steps(arguments):
    for call in arguments.call:
        yield json.loads(call)
    if not arguments.call:
        async for line in anyio.wrap_file(sys.stdin):
            yield json.loads(line)


async def main(arguments):
    ledger = Ledger()
    async with connected(arguments) as streams:
        ledger.meet(child_pid() if arguments.stdio else None)
        async with ledger.watching(*streams[:2]) as (read, write):
            client = Implementation(name="python-client", version="1.0")
            async with ClientSession(read, write, client_info=client) as session:
                await session.initialize()
                await session.list_tools()
                async for step in steps(arguments):
                    await take(session, step)
    ledger.close()


parser = argparse.ArgumentParser()
parser.add_argument("--url")
parser.add_argument("--sse", action="store_true")
parser.add_argument("--stdio", action="store_true")
parser.add_argument("--call", action="append", default=[])
parser.add_argument("command", nargs="*")
anyio.run(main, parser.parse_args())
