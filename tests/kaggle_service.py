"""Kaggle, played by two servers of this machine: the site with its API, and the storage it redirects to.

What they do is what the real service was seen to do:

* The API redirects to storage for the competition's own files, and answers 404 for the 50 parts and for a
  file that does not exist. A token is no log-in for the site: it answers `text/html` to whoever asks without
  a session, whether anonymously or with a token (probed in September 2026, notes on data sets in the public
  repository that also lists the 471.84 GB; the same 404 in Kaggle/kaggle-cli issue 344).
* The site redirects a logged-in browser from /c/16880/datadownload/dfdc_train_part_NN.zip to
  storage.googleapis.com/kaggle-competitions-detached-data/16880/… with GoogleAccessId, Expires and Signature
  (cookies.txt with wget, as in several public repositories of DFDC solutions; an address of 2020 in one of
  them).
* Rules that are not accepted are 403 for the API (Kaggle/kaggle-cli issues 87 and 555).
* Both throttle: 429, for file-by-file downloads after about 100 (Kaggle/kaggle-cli issues 132, 494, 931).
* Storage serves ranges with Content-Range and ETag (Cloud Storage, XML API, GET object), answers 400
  ExpiredToken or 403 to an old signature (Cloud Storage, signed URLs), 416 to a range beyond the end (RFC
  9110, 15.5.17), and 200 with everything where a range is ignored (RFC 9110, 14.2).
"""

import hashlib
import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

COMPETITION = "deepfake-detection-challenge"
TOKEN = "the-token-of-this-account"
SESSION = "the-session-of-this-browser"
CONTENT = {name: np.random.default_rng(number).bytes(3_000_000) for number, name in enumerate("abcd")}
PARTS = "kaggle-competitions-detached-data/16880"
PAGE = b"<!DOCTYPE html><html><title>Kaggle: Your Machine Learning and Data Science Community</title></html>"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: "Service", handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.service = service
        self.heard: list[tuple[str, dict[str, str]]] = []  # path and headers of every request

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            self.send_header(name, value)
        self.end_headers()
        breaks = self.server.service.break_off
        if status == 206 and breaks and len(body) > 1:
            body = body[: breaks.pop(0)]
            self.close_connection = True
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the client has heard enough

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has hung up
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


class Site(Handler):
    """www.kaggle.com and its API."""

    def do_POST(self) -> None:
        service = self.server.service
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path, dict(self.headers)))
        service.asked.append((self.path, asked))
        status = service.throttle.pop(0) if service.throttle else service.refusal
        status = status or (302 if asked["fileName"] in service.files else 404)
        if status != 302:
            body = json.dumps({"code": status, "message": "no"}).encode()
            self.answer(status, body, Content_Type="application/json", Retry_After="0")
            return
        self.answer(302, Location=service.signed(f"kaggle-v2/16880/{asked['fileName']}"))

    def do_GET(self) -> None:
        service = self.server.service
        self.server.heard.append((self.path, dict(self.headers)))
        download = re.fullmatch(r"/c/16880/datadownload/(.*)", self.path)
        if not download or service.site == "page":
            self.answer(200, PAGE, Content_Type="text/html; charset=utf-8")
        elif service.site == "busy":
            self.answer(429, Retry_After="0")
        elif f"session={SESSION}" not in self.headers.get("Cookie", "") or service.site == "login":
            self.answer(302, Location=f"/account/login?returnUrl={self.path}")
        elif service.site == "rules":
            self.answer(302, Location=f"/c/{COMPETITION}/rules")
        elif service.site == "elsewhere":
            self.answer(302, Location=f"http://localhost:{self.server.server_port}/take-it")
        elif service.site == "circle":
            self.answer(302, Location=self.path)
        elif download[1] not in service.parts:
            self.answer(404, PAGE, Content_Type="text/html")
        else:
            self.answer(302, Location=service.signed(f"{PARTS}/{download[1]}"), Set_Cookie="ka_sessionid=new")


class Storage(Handler):
    """storage.googleapis.com."""

    def do_GET(self) -> None:
        service = self.server.service
        self.server.heard.append((self.path, dict(self.headers)))
        path, _, query = self.path.partition("?")
        name = path.lstrip("/").removeprefix("kaggle-v2/16880/").removeprefix(f"{PARTS}/")
        number = re.search(r"Signature=secret(\d+)", query)
        if number is None or int(number[1]) <= service.expired:
            self.answer(service.expiry_status, b"<Error><Code>ExpiredToken</Code></Error>")
        elif service.storage == "busy":
            self.answer(503, Retry_After="0")
        elif service.storage == "redirect":
            self.answer(307, Location="http://localhost:9/")
        elif service.storage == "page":
            self.answer(200, PAGE, Content_Type="text/html")
        else:
            self.serve({**service.files, **service.parts}.get(name))

    def serve(self, data: bytes | None) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if data is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif not wanted or self.server.service.storage == "no ranges":
            self.answer(200, data)
        elif int(wanted[1]) >= len(data):
            self.answer(
                416, b"<Error><Code>InvalidRange</Code></Error>", Content_Range=f"bytes */{len(data)}"
            )
        else:
            start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
            self.server.service.served.append((start, end))
            place = f"bytes {start}-{end - 1}/{len(data)}"
            tag = hashlib.md5(data[:1000]).hexdigest()
            self.answer(206, data[start:end], Content_Range=place, ETag=tag)


class Service:
    """Both servers, what they hold, and in which mood they are."""

    def __init__(self) -> None:
        self.kaggle, self.store = Server(self, Site), Server(self, Storage)
        self.files: dict[str, bytes] = {}  # what the API serves
        self.parts: dict[str, bytes] = {}  # what only a logged-in browser gets
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.served: list[tuple[int, int]] = []
        self.break_off: list[int] = []  # bytes after which the next answers stop
        self.throttle: list[int] = []  # what the API answers next
        self.refusal = self.signature = self.expired = 0
        self.expiry_status = 400
        self.site = self.storage = ""

    def signed(self, path: str) -> str:
        self.signature += 1
        until = int(time.time()) + 3600
        query = f"GoogleAccessId=web-data&Expires={until}&Signature=secret{self.signature}"
        return f"{self.store.address}/{path}?{query}"

    @property
    def secrets(self) -> list[str]:
        return [TOKEN, SESSION, "Signature=secret"]


@contextmanager
def running() -> Iterator[Service]:
    service = Service()
    service.parts = {
        "dfdc_train_part_00.zip": archive("a", "b", "c"),
        "dfdc_train_part_01.zip": archive("d", part=1),
    }
    service.files = sample("a", "b")
    servers = (service.kaggle, service.store)
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in servers
    ]
    for thread in threads:
        thread.start()
    yield service
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


def metadata(names: tuple[str, ...]) -> str:
    return json.dumps(
        {f"{name}.mp4": {"label": "FAKE", "split": "train", "original": "x.mp4"} for name in names}
    )


def sample(*names: str) -> dict[str, bytes]:
    folder = "train_sample_videos"
    return {
        f"{folder}/metadata.json": metadata(names).encode(),
        **{f"{folder}/{name}.mp4": CONTENT[name] for name in names},
    }


def archive(*names: str, part: int = 0) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as members:
        for name in names:
            members.writestr(f"dfdc_train_part_{part}/{name}.mp4", CONTENT[name])
        members.writestr(f"dfdc_train_part_{part}/metadata.json", metadata(names))
    return data.getvalue()


def write_cookies(path: Path, domain: str = ".127.0.0.1", value: str = SESSION, expires: int = 0) -> Path:
    """Cookies as a browser's extension exports them, one of them for HTTP only, one of another site."""
    path.write_text(
        "# Netscape HTTP Cookie File\n"
        "# This is a generated file! Do not edit.\n\n"
        ".example.org\tTRUE\t/\tFALSE\t2147483647\tother\tsecret-of-another-site\n"
        f"#HttpOnly_{domain}\tTRUE\t/\tTRUE\t{expires}\tsession\t{value}\n"
        f"{domain}\tTRUE\t/account\tTRUE\t{expires}\telsewhere\tnot-for-downloads\n",
        encoding="utf-8",
    )
    return path
