"""A server of the first Python SDK whose tools are tasks: v1_tasks_server.py stdio|http."""

import contextlib
import json
import os
import socket
import sys

import anyio
import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.routing import Route

server = Server("python-tasks-server", version="1.0")
server.experimental.enable_tasks()


@server.list_tools()
async def list_tools():
    execution = types.ToolExecution(taskSupport="required")
    names = ("wait", "fail", "forever")
    return [types.Tool(name=name, inputSchema={"type": "object"}, execution=execution) for name in names]


@server.call_tool()
async def call_tool(name, _arguments):
    async def work(task):
        await task.update_status("working on it")
        if name == "fail":
            raise ValueError("failed as asked")
        await anyio.sleep(0.3 if name == "wait" else 3600)
        return types.CallToolResult(content=[types.TextContent(type="text", text="done")])

    return await server.request_context.experimental.run_task(work)


async def over_stdio():
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def listen():
    manager = StreamableHTTPSessionManager(server)

    class Endpoint:
        async def __call__(self, scope, receive, send):
            await manager.handle_request(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        async with manager.run():
            yield

    listener = socket.create_server(("127.0.0.1", 0))
    line = {"type": "listening", "pid": os.getpid(), "port": listener.getsockname()[1]}
    print(json.dumps(line), flush=True)
    app = Starlette(routes=[Route("/mcp", Endpoint())], lifespan=lifespan)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if sys.argv[1] == "stdio":
    anyio.run(over_stdio)
else:
    listen()
