"""Tools of the second Python SDK that make clients wait."""

from mcp.server.mcpserver import Context
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult


def question(state):
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    ask = ElicitRequest(params=ElicitRequestFormParams(message="Sure?", requested_schema=schema))
    return InputRequiredResult(input_requests={"sure": ask}, request_state=state)


async def touch(context: Context) -> str:
    await context.notify_tools_changed()
    await context.notify_resource_updated("note://example")
    return "touched"


async def ask(context: Context) -> str | InputRequiredResult:
    return "yes" if context.input_responses else question(None)


async def ask_twice(context: Context) -> str | InputRequiredResult:
    # The state that the client hands back is how often it was asked.
    match context.request_state:
        case "second":
            return "yes, and yes"
        case state:
            return question("second" if state == "first" else "first")


def add_to(server):
    for tool in (touch, ask, ask_twice):
        server.add_tool(tool)
