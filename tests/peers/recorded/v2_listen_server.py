"""A server of the second Python SDK whose tools make clients wait: v2_listen_server.py stdio|http."""

import asyncio
import json
import os
import socket
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

server = MCPServer("python-listen-server")


def question(state):
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    ask = ElicitRequest(params=ElicitRequestFormParams(message="Sure?", requested_schema=schema))
    return InputRequiredResult(input_requests={"sure": ask}, request_state=state)


@server.tool()
async def touch(context: Context) -> str:
    await context.notify_tools_changed()
    await context.notify_resource_updated("note://example")
    return "touched"


@server.tool()
async def ask(context: Context) -> str | InputRequiredResult:
    return "yes" if context.input_responses else question(None)


@server.tool()
async def ask_twice(context: Context) -> str | InputRequiredResult:
    # The state that the client hands back is how often it was asked.
    match context.request_state:
        case "second":
            return "yes, and yes"
        case state:
            return question("second" if state == "first" else "first")


@server.resource("note://example")
def note() -> str:
    return "a note"


if sys.argv[1] == "stdio":
    server.run(transport="stdio")
else:
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    line = {"type": "listening", "pid": os.getpid(), "port": listener.getsockname()[1]}
    print(json.dumps(line), flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="warning")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
