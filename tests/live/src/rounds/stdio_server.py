# A server on standard input and output: each list describes a tool in another way, tools may fail, and `crash` ends it.
import json
import os
import sys
import time

lists = 0
for line in sys.stdin:
    message = json.loads(line)
    method = message["method"]
    if "id" not in message:
        continue
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    if method == "initialize":
        info = {"name": sys.argv[1], "version": "1"}
        answer["result"] = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info}
    elif method == "tools/list":
        lists += 1
        schema = {"type": "object"}
        told = {"echo": f"list {lists} of {os.getpid()}", "add": "adds"}
        tools = [{"name": name, "description": text, "inputSchema": schema} for name, text in told.items()]
        answer["result"] = {"tools": tools}
    elif message["params"]["name"] in ("echo", "add"):
        answer["result"] = {"content": [{"type": "text", "text": "x" * 200}]}
    elif message["params"]["name"] == "slow":
        time.sleep(1.2)
        answer["result"] = {"content": []}
    elif message["params"]["name"] == "fail":
        answer["result"] = {"content": [], "isError": True}
    elif message["params"]["name"] == "crash":
        sys.exit(3)
    else:
        answer["error"] = {"code": -32602, "message": "no such tool"}
    print(json.dumps(answer), flush=True)
