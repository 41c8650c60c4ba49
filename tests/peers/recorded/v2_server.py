"""A server of the second Python SDK, or of fastmcp: v2_server.py stdio|http|json|https|sse [--fastmcp]
[--cert FILE --key FILE]."""

import argparse
import asyncio
import json
import os
import socket

parser = argparse.ArgumentParser()
parser.add_argument("transport", choices=["stdio", "http", "json", "https", "sse"])
parser.add_argument("--fastmcp", action="store_true")
parser.add_argument("--cert")
parser.add_argument("--key")
arguments = parser.parse_args()
transport = arguments.transport
if arguments.fastmcp:
    from fastmcp import Context, FastMCP as Server
    from fastmcp.exceptions import ToolError
else:
    import v2_waiting
    from mcp.server.mcpserver import Context, MCPServer as Server
    from mcp.server.mcpserver.exceptions import ToolError

server = Server("python-server")


@server.tool()
def echo(message: str) -> str:
    return message


@server.tool()
def add(a: int, b: int) -> str:
    return str(a + b)


@server.tool()
def big(bytes: int) -> str:
    return "x" * bytes


@server.tool()
def fail() -> str:
    raise ToolError("failed as asked")


@server.tool()
async def progress(count: int, context: Context) -> str:
    for step in range(count):
        await context.report_progress(step + 1, count)
    return "done"


@server.tool()
async def slow(seconds: float, context: Context, progress: int = 0) -> str:
    for step in range(progress):
        await context.report_progress(step + 1, progress)
    await asyncio.sleep(seconds)
    return "done"


if not arguments.fastmcp:
    v2_waiting.add_to(server)


@server.resource("note://example")
def note() -> str:
    return "a note"


@server.prompt()
def greet() -> str:
    return "Hello"


def application():
    if arguments.fastmcp:
        kind = "sse" if transport == "sse" else "http"
        return server.http_app(transport=kind, json_response=transport == "json")
    if transport == "sse":
        return server.sse_app()
    return server.streamable_http_app(json_response=transport == "json")


if transport == "stdio":
    server.run(transport="stdio", **({"show_banner": False} if arguments.fastmcp else {}))
else:
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    line = {"type": "listening", "pid": os.getpid(), "port": listener.getsockname()[1]}
    print(json.dumps(line), flush=True)
    config = uvicorn.Config(
        application(), log_level="warning", ssl_certfile=arguments.cert, ssl_keyfile=arguments.key
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
