# A server over HTTP with sessions, that asks who is there: nobody gets in without a token, or as `nobody`.
import http.server
import json
import sys
import uuid


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        who = self.headers.get("authorization")
        if who is None:
            return self.answer(401)
        if "nobody" in who:
            return self.answer(403)
        if "id" not in message:
            return self.answer(202)
        result = {"content": []}
        session = None
        if message["method"] == "initialize":
            session = uuid.uuid4().hex
            info = {"name": sys.argv[1], "version": "1"}
            result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info}
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
        self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, session)

    def do_DELETE(self):
        self.answer(204)

    def answer(self, status, message=None, session=None):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if session is not None:
            self.send_header("mcp-session-id", session)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
