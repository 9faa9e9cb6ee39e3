"""A Hugging Face hub on this machine, for files that a test names."""

import contextlib
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path


@contextlib.contextmanager
def hub(files, folder):
    """Serve files under their paths.

    Args:
        files (dict): bytes by path, "/user/model/resolve/main/pytorch_model.bin" for example.
        folder (Path): for caches.

    Yields:
        callable: runs a Python program with arguments that asks this hub, and returns what
        `subprocess.run` does.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):  # noqa: N802
            self.do_GET()

        def do_GET(self):  # noqa: N802
            data = files.get(self.path)
            self.send_response(200 if data else 404)
            if data:
                self.send_header("X-Repo-Commit", "0" * 40)
                self.send_header("ETag", f'"{len(data)}"')
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if data and self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "ASTEROID_CACHE": str(folder / "cache"),
        "HF_HOME": str(folder / "home"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NO_PROXY": "127.0.0.1",
    }

    def run(program, *arguments):
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=120,
        )

    try:
        yield run
    finally:
        server.shutdown()
        server.server_close()
