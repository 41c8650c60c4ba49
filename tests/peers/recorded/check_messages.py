"""Reads conversations with the types that the second Python SDK has for each revision: check_messages.py FOLDER.

Each file is named by its revision, and each of its lines is who sends, a blank, and a message or a batch.
"""

import json
import pathlib
import sys

from mcp_types import methods


def check(revision, lines):
    """The messages that are not as the revision's schema wants them, and how many are."""
    asked, wrong, count = {}, [], 0
    for line in lines:
        sender, text = line.split(" ", 1)
        messages = json.loads(text)
        for message in messages if isinstance(messages, list) else [messages]:
            try:
                count += read(revision, sender, message, asked)
            except Exception as error:
                wrong.append(f"{revision}: {text[:100]}: {type(error).__name__} {error}")
    return wrong, count


def read(revision, sender, message, asked):
    """Whether the SDK has a type for it; it has none for tasks."""
    method, params = message.get("method"), message.get("params")
    if method is None:
        return "result" in message and read_result(revision, sender, message, asked)
    if "id" in message:
        asked[sender, message["id"]] = message
        parse = methods.parse_client_request if sender == "client" else methods.parse_server_request
    else:
        parse = methods.parse_client_notification if sender == "client" else methods.parse_server_notification
    if method.startswith(("example/", "tasks/", "notifications/tasks")):
        return False
    parse(method, revision, params)
    return True


def read_result(revision, sender, message, asked):
    request, result = asked["server" if sender == "client" else "client", message["id"]], message["result"]
    method = request["method"]
    if method.startswith("tasks/") or "task" in request.get("params", {}) or result.get("resultType") == "task":
        return False
    parse = methods.parse_client_result if sender == "client" else methods.parse_server_result
    parse(method, revision, result)
    return True


found = [
    check(path.stem, path.read_text().splitlines())
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.txt"))
]
print(json.dumps({"files": len(found), "read": sum(count for _, count in found)}))
sys.exit("\n".join(line for wrong, _ in found for line in wrong) or None)
