"""A small server on loopback that speaks the file API of the Hub: what the client asks when it downloads."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories (name -> folder), the token that private ones need, and what was asked.

    `break_after_bytes`: cut off the next download of a weight file after so many bytes, once.
    """

    repositories: dict[str, Path]
    token: str | None = None
    break_after_bytes: int | None = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run the server while the context lasts; `hub.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlparse(self.path).path)
            hub.requests.append((self.command, path, self.headers.get("Range")))
            if hub.token is not None and self.headers.get("Authorization") != f"Bearer {hub.token}":
                return self.answer(401, b"{}", X_Error_Code="RepoNotFound")
            name = path.removeprefix("/api/models/").lstrip("/")
            for repository, folder in hub.repositories.items():
                if path.startswith(f"/api/models/{repository}"):
                    return self.info(repository, folder, path)
                if name.startswith(f"{repository}/resolve/"):
                    _, _, rest = name.partition("/resolve/")
                    revision, _, file = rest.partition("/")
                    return self.file(folder / file, revision)
            return self.answer(404, b"{}", X_Error_Code="RepoNotFound")

        def info(self, repository: str, folder: Path, path: str) -> None:
            revision = path.partition("/revision/")[2] or "main"
            if "/tree/" in path:
                revision = path.partition("/tree/")[2].split("/")[0]
            if revision not in ("main", COMMIT):
                return self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
            files = sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())
            if "/tree/" in path:
                entries = [
                    {"type": "file", "path": f, "size": (folder / f).stat().st_size, "oid": etag(folder / f)}
                    for f in files
                ]
                return self.answer(200, json.dumps(entries).encode(), Content_Type="application/json")
            content = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
            return self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

        def file(self, file: Path, revision: str) -> None:
            if not file.is_file() or revision not in ("main", COMMIT):
                return self.answer(404, b"", X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            data = file.read_bytes()
            headers = {"ETag": f'"{etag(file)}"', "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-").split("-")[0] or 0)
            if start:
                headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            body = data[start:]
            if hub.break_after_bytes is not None and file.suffix == ".safetensors" and self.command == "GET":
                cut, hub.break_after_bytes = hub.break_after_bytes, None
                self.send_response(200)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body[:cut])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
                return None
            return self.answer(206 if start else 200, body, **headers)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def etag(file: Path) -> str:
    """A content hash, as the Hub's ETags are."""
    return hashlib.sha1(file.read_bytes()).hexdigest()
