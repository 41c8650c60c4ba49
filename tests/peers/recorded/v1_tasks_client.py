"""A client of the first Python SDK that waits for tasks: v1_tasks_client.py URL | -- CMD..."""

import sys

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from truth import Ledger, child_pid

place, *rest = sys.argv[1:]


def target():
    if place == "--":
        return stdio_client(StdioServerParameters(command=rest[0], args=rest[1:]))
    return streamable_http_client(place)


async def run(tasks, name):
    """Runs a tool as a task to its end."""
    created = await tasks.call_tool_as_task(name, {})
    task = created.task.taskId
    async for _ in tasks.poll_task(task):
        pass
    # What a failed task leaves is no result of a tool.
    await tasks.get_task_result(task, types.GetTaskPayloadResult)


async def talk(session):
    await session.initialize()
    await session.list_tools()
    tasks = session.experimental
    await run(tasks, "wait")
    await run(tasks, "fail")
    taken_back = await tasks.call_tool_as_task("forever", {})
    await tasks.cancel_task(taken_back.task.taskId)
    await tasks.list_tasks()
    try:
        await tasks.get_task("absent")
    except McpError as error:
        print(error, file=sys.stderr)


async def main():
    ledger = Ledger()
    async with target() as streams:
        ledger.meet(child_pid() if place == "--" else None)
        async with ledger.watching(*streams[:2]) as (read, write), ClientSession(read, write) as session:
            await talk(session)
    ledger.close()


anyio.run(main)
