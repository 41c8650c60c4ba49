"""A server of the second Python SDK, or of fastmcp: v2_server.py mcp|fastmcp stdio|http|json|sse."""

import asyncio
import json
import os
import socket
import sys

library, transport = sys.argv[1:]
if library == "fastmcp":
    from fastmcp import Context, FastMCP as Server
else:
    from mcp.server.mcpserver import Context, MCPServer as Server

server = Server("python-server")


@server.tool()
def echo(message: str) -> str:
    return message


@server.tool()
def fail() -> str:
    raise ValueError("failed as asked")


@server.tool()
async def progress(count: int, context: Context) -> str:
    for step in range(count):
        await context.report_progress(step + 1, count)
    return "done"


@server.resource("note://example")
def note() -> str:
    return "a note"


@server.prompt()
def greet() -> str:
    return "Hello"


def application():
    if library == "fastmcp":
        return server.http_app(transport="sse" if transport == "sse" else "http", json_response=transport == "json")
    if transport == "sse":
        return server.sse_app()
    return server.streamable_http_app(json_response=transport == "json")


if transport == "stdio":
    server.run(transport="stdio", **({"show_banner": False} if library == "fastmcp" else {}))
else:
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    line = {"type": "listening", "pid": os.getpid(), "port": listener.getsockname()[1]}
    print(json.dumps(line), flush=True)
    config = uvicorn.Config(application(), log_level="warning")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
