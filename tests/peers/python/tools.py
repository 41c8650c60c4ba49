"""The tools that every server of these tests offers, here for the Python SDK."""

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import McpError


async def echo(_server, message="", **_):
    return message


async def add(_server, a=0, b=0, **_):
    return str(a + b)


async def slow(server, seconds=0, progress=0, **_):
    await notify(server, progress)
    await anyio.sleep(seconds)
    return "done"


async def big(_server, bytes=0, **_):
    return "x" * bytes


async def fail(_server, **_):
    raise RuntimeError("failed as asked")


async def progress(server, count=0, **_):
    await notify(server, count)
    return "done"


TOOLS = {"echo": echo, "add": add, "slow": slow, "big": big, "fail": fail, "progress": progress}


async def notify(server, total):
    context = server.request_context
    token = context.meta.progressToken if context.meta else None
    if token is None:
        return
    for step in range(1, int(total) + 1):
        await context.session.send_progress_notification(
            token, step, total, related_request_id=str(context.request_id)
        )


def make_server():
    """A server for any number of sessions."""
    server = Server("python-server", version="1.0")

    @server.list_tools()
    async def list_tools():
        return [types.Tool(name=name, inputSchema={"type": "object"}) for name in TOOLS]

    # Registered below the SDK's own decorator, which would turn an unknown tool into a tool error.
    async def call_tool(request):
        tool = TOOLS.get(request.params.name)
        if tool is None:
            raise McpError(types.ErrorData(code=types.INVALID_PARAMS, message="unknown tool"))
        try:
            text, failed = await tool(server, **(request.params.arguments or {})), False
        except RuntimeError as error:
            text, failed = str(error), True
        content = [types.TextContent(type="text", text=text)]
        return types.ServerResult(types.CallToolResult(content=content, isError=failed))

    server.request_handlers[types.CallToolRequest] = call_tool
    return server
