"""An MCP server of the Python SDK: server.py stdio|http|sse|https [--cert FILE --key FILE]
[--host ADDRESS] [--port N]."""

import argparse
import contextlib
import json
import os
import socket

import anyio
import uvicorn
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from tools import make_server


async def over_stdio():
    server = make_server()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def streamable():
    manager = StreamableHTTPSessionManager(make_server())

    class Endpoint:
        async def __call__(self, scope, receive, send):
            await manager.handle_request(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        async with manager.run():
            yield

    return Starlette(routes=[Route("/mcp", Endpoint())], lifespan=lifespan)


def events():
    server = make_server()
    transport = SseServerTransport("/message/")

    async def stream(request):
        async with transport.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        return Response()

    return Starlette(routes=[Route("/sse", stream), Mount("/message/", transport.handle_post_message)])


def listen(app, arguments):
    listener = socket.create_server((arguments.host, arguments.port))
    line = {"type": "listening", "pid": os.getpid(), "port": listener.getsockname()[1]}
    print(json.dumps(line), flush=True)
    config = uvicorn.Config(
        app, log_level="warning", ssl_certfile=arguments.cert, ssl_keyfile=arguments.key
    )
    uvicorn.Server(config).run(sockets=[listener])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("transport", choices=["stdio", "http", "https", "sse"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    if arguments.transport == "stdio":
        anyio.run(over_stdio)
    else:
        listen(events() if arguments.transport == "sse" else streamable(), arguments)


main()
