"""What the clients of the second Python SDK have in common: where the server is, and the truth about their calls.

CLIENT --url URL [--sse] | --stdio, [--fastmcp] [--call JSON]... [-- CMD...]. A certificate authority comes by
SSL_CERT_FILE.
"""

import argparse
import contextlib
import importlib

from truth import Ledger, child_pid

# Where the libraries look for the functions that connect.
CONNECTING = {
    "stdio_client": ["mcp.client.client", "fastmcp.client.transports.stdio"],
    "streamable_http_client": ["mcp.client.client", "fastmcp.client.transports.http"],
    "sse_client": ["mcp.client.sse", "fastmcp.client.transports.sse"],
}


def parsed():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--sse", action="store_true")
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--fastmcp", action="store_true")
    parser.add_argument("--call", action="append")
    parser.add_argument("command", nargs="*")
    return parser.parse_args()


def watched(ledger, fastmcp):
    """Puts the ledger between the library's transports and its sessions, before anything connects."""
    for name, modules in CONNECTING.items():
        module = importlib.import_module(modules[fastmcp])
        setattr(module, name, around(getattr(module, name), ledger, name == "stdio_client"))


def around(connect, ledger, starts_the_server):
    @contextlib.asynccontextmanager
    async def connected(*arguments, **named):
        async with connect(*arguments, **named) as streams:
            ledger.meet(child_pid() if starts_the_server else None)
            async with ledger.watching(*streams[:2]) as pair:
                yield pair

    return connected


def target(arguments):
    """What a client of the library is made with."""
    if arguments.fastmcp:
        from fastmcp.client import transports

        if arguments.stdio:
            command, *rest = arguments.command
            # Kept alive, the server would outlive the client.
            return transports.StdioTransport(command=command, args=rest, keep_alive=False)
        kind = transports.SSETransport if arguments.sse else transports.StreamableHttpTransport
        return kind(arguments.url)
    if arguments.stdio:
        from mcp import StdioServerParameters

        command, *rest = arguments.command
        return StdioServerParameters(command=command, args=rest)
    if arguments.sse:
        from mcp.client import sse

        return sse.sse_client(arguments.url)
    return arguments.url


@contextlib.asynccontextmanager
async def connected(arguments, **options):
    """A client that has found out which era the server speaks."""
    ledger = Ledger()
    watched(ledger, arguments.fastmcp)
    library = importlib.import_module("fastmcp" if arguments.fastmcp else "mcp")
    async with library.Client(target(arguments), **options) as client:
        yield client
    ledger.close()
