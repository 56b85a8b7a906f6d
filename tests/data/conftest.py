"""A cache, a user's folder and mirrors on loopback: nothing in these tests leaves this machine."""

import http.server
import threading
from pathlib import Path

import pytest

from robust_lib.data import downloads


class Handler(http.server.BaseHTTPRequestHandler):
    """/BEHAVIOUR/FILE: what a server can do to us, by name; the files are `server.blobs`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, how, file = self.path.split("/", 2)
        self.server.asked.append(how)
        blob = self.server.blobs.get(file)
        if how == "missing" or blob is None:
            self.send_error(404)
        elif how == "deaf":
            self.server.over.wait(30)
        elif how == "chunked":
            half = len(blob) // 2
            parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in (blob[:half], blob[half:], b"")]
            self.reply("Transfer-Encoding", "chunked", b"".join(parts))
        else:
            altered = blob[:-1] + bytes([blob[-1] ^ 1])
            sent = {"right": blob, "wrong": altered}.get(how, blob[:20])  # and that is all of "short"
            self.reply("Content-Length", str(len(blob)), sent)
            self.close_connection = True
            if how in ("silent", "trickle"):
                self.server.over.wait(30)

    def reply(self, header, value, sent):
        self.send_response(200)
        self.send_header(header, value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def url(self, how: str, file: str = "") -> str:
        return f"http://127.0.0.1:{self.server_port}/{how}/{file}"


@pytest.fixture(scope="session")
def one_server():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.blobs, server.over = {}, threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def server(one_server, monkeypatch):
    """The mirrors; `asked` lists the behaviours that were asked for. Only those that try patience meet none:
    a good one may be slow on a busy machine."""
    one_server.asked = []
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    from_mirrors = downloads.from_mirrors

    def one_by_one(urls, *rest):
        for url in urls:
            how = url.split("/")[3]
            with monkeypatch.context() as patch:
                if how in ("deaf", "silent"):
                    patch.setattr(downloads, "TIMEOUT_SECONDS", (10, 0.05))
                if how == "trickle":
                    patch.setattr(downloads, "PATIENCE_SECONDS", 0)
                    patch.setattr(downloads, "CHUNK_BYTES", 1)
                if path := from_mirrors([url], *rest):
                    return path
        return None

    monkeypatch.setattr(downloads, "from_mirrors", one_by_one)
    return one_server


class Roots:
    """The cache and a folder of the user's, which ROBUST_DATA names after `use_theirs`."""

    def __init__(self, folder: Path, monkeypatch):
        self.cache, self.theirs, self.monkeypatch = folder / "cache", folder / "theirs", monkeypatch
        monkeypatch.setattr(downloads, "cache_folder", lambda: self.cache)
        monkeypatch.delenv("ROBUST_DATA", raising=False)

    def use_theirs(self) -> Path:
        self.monkeypatch.setenv("ROBUST_DATA", str(self.theirs))
        return self.theirs

    def contents(self) -> dict[Path, bytes | None]:
        """Everything on disk, also what a download might leave beside the roots."""
        paths = sorted(self.cache.parent.rglob("*"))
        return {path: path.read_bytes() if path.is_file() else None for path in paths}


@pytest.fixture
def roots(tmp_path, monkeypatch):
    return Roots(tmp_path, monkeypatch)
