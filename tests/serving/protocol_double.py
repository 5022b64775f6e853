"""What TensorFlow Serving's REST API replies, computed by the SavedModel: the reference for client and server."""

import base64
import contextlib
import http.server
import json
import threading
import time

CHOICES = {None: 2, "stable": 1, "canary": 2, 1: 1, 2: 2}  # version or label -> version


class Backend:
    """What both transports share: the SavedModel, under the name `sperm`, with versions 1 and 2."""

    def __init__(self, path):
        import tensorflow as tf

        self.signatures = tf.saved_model.load(str(path)).signatures
        self.asked, self.sizes = [], []

    def answer(self, name, choice, signature, files):
        import tensorflow as tf

        if name == "slow":
            time.sleep(2)
        if name != "sperm" or choice not in CHOICES:
            raise LookupError(f"Servable not found for request: {name} {choice}")
        self.asked.append((CHOICES[choice], signature))
        self.sizes.append(len(files))
        return self.signatures[signature](image_bytes=tf.constant(files))


@contextlib.contextmanager
def serve_rest(backend):
    """TensorFlow Serving's REST protocol for predictions, row and column format, and for states; gives the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            _, choice = self.parts()
            status = {"error_code": "OK", "error_message": ""}
            numbers = [2, 1] if choice is None else [CHOICES[choice]]
            states = [{"version": str(number), "state": "AVAILABLE", "status": status} for number in numbers]
            self.reply(200, {"model_version_status": states})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name, choice = self.parts()
            content = request.get("instances", request.get("inputs"))
            try:
                if content is None:
                    raise ValueError("Missing 'inputs' or 'instances' key")
                if name not in ("sperm", "slow"):
                    raise LookupError(f"Servable not found for request: Latest({name})")
                content = content["image_bytes"] if isinstance(content, dict) else content
                files = [
                    one.encode() if isinstance(one, str) else base64.b64decode(one["b64"], validate=True)
                    for one in content
                ]
                outputs = backend.answer(name, choice, request.get("signature_name", "serving_default"), files)
            except (LookupError, ValueError) as error:
                self.reply(404 if isinstance(error, LookupError) else 400, {"error": str(error)})
                return
            columns = {name: value.numpy() for name, value in outputs.items()}
            columns = {n: (v.astype(str) if v.dtype == object else v).tolist() for n, v in columns.items()}
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            self.reply(200, {"predictions": rows} if "instances" in request else {"outputs": columns})

        def parts(self):
            """Name of the model, and the version, the label or None."""
            parts = self.path.removesuffix(":predict").split("/")
            assert parts[:3] == ["", "v1", "models"] and self.path.endswith(":predict") == (self.command == "POST")
            if len(parts) == 4:
                return parts[3], None
            return parts[3], int(parts[5]) if parts[4] == "versions" else parts[5]

        def reply(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
