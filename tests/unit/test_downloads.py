"""Pinned downloads from a server with faults, and files of the user's own."""

import hashlib
import http.server
import json
import threading

import pytest

from rhvae_mri.io import downloads
from rhvae_mri.io.downloads import check_file, fetch, obtain_file, read_descriptor, sha256_of
from rhvae_mri.io.errors import StudyError

CONTENT = bytes(range(256)) * 2000
HALF = len(CONTENT) // 2
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PINNED = {"url": "https://example.invalid/w.bin", "sha256": SHA256}


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; ``plan`` says for each request in turn what goes wrong."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.ranges, self.ignores_ranges = [], [], False
        self.url = f"http://127.0.0.1:{self.server_port}/weights.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        trouble = self.server.plan.pop(0) if self.server.plan else None
        if isinstance(trouble, int):
            self.send_error(trouble)
            return
        begin = asked and not self.server.ignores_ranges
        start = int(asked.removeprefix("bytes=").rstrip("-")) if begin else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if trouble == "break off" else body)

    def log_message(self, *arguments):
        """Print nothing."""


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(downloads, "_PAUSE", 0.0)
    monkeypatch.setattr(downloads, "_TIMEOUT", 5.0)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "weights.bin"


AT_HALF = f"bytes={HALF}-"


END = f"bytes={len(CONTENT)}-"

#: What the server does, whether it ignores ranges, what is there before, and the ranges that are asked for.
DOWNLOADS = {
    "undisturbed": ([], False, {}, [None]),
    "broken off twice": (["break off"] * 2, False, {}, [None, AT_HALF, f"bytes={HALF + HALF // 2}-"]),
    "a server without ranges": (["break off"], True, {}, [None, AT_HALF]),
    "passing errors of the server": ([503, 429, 500], False, {}, [None] * 4),
    "half of it from the last run": ([], False, {".part": CONTENT[:HALF]}, [AT_HALF]),
    "all of it from the last run": ([], False, {".part": CONTENT}, [END]),
    "a stale part": ([], False, {".part": b"something else entirely"}, ["bytes=23-", None]),
    "a damaged part": ([], False, {".part": CONTENT[:-1] + b"?"}, [END, None]),
    "a file of an older pin": ([], False, {"": b"of an older pin"}, [None]),
    "it is there": ([], False, {"": CONTENT}, []),
}


@pytest.mark.parametrize(
    ("plan", "ignores_ranges", "there_before", "ranges"), DOWNLOADS.values(), ids=DOWNLOADS
)
def test_a_file_is_downloaded_from_where_the_last_attempt_stopped(
    server, target, plan, ignores_ranges, there_before, ranges
):
    server.plan, server.ignores_ranges = list(plan), ignores_ranges
    target.parent.mkdir()
    for end, content in there_before.items():
        target.with_name(target.name + end).write_bytes(content)
    assert fetch(server.url, SHA256, target) == target
    assert target.read_bytes() == CONTENT
    assert server.ranges == ranges
    assert [path.name for path in target.parent.iterdir()] == ["weights.bin"]


def test_what_arrived_before_the_last_attempt_failed_stays_for_the_next_run(server, target, monkeypatch):
    monkeypatch.setattr(downloads, "_ATTEMPTS", 1)
    server.plan = ["break off"]
    with pytest.raises(StudyError, match="failed 1 times"):
        fetch(server.url, SHA256, target)
    assert [path.name for path in target.parent.iterdir()] == ["weights.bin.part"]


def test_a_missing_file_is_not_asked_for_twice(server, target):
    server.plan = [404]
    with pytest.raises(StudyError, match="answers 404") as error:
        fetch(server.url, SHA256, target)
    assert error.value.where == server.url
    assert len(server.ranges) == 1


def test_the_wrong_file_is_refused_and_removed(server, target):
    with pytest.raises(StudyError, match=f"{SHA256}, not the pinned {'0' * 64}"):
        fetch(server.url, "0" * 64, target)
    assert list(target.parent.iterdir()) == []
    assert len(server.ranges) == 1


def test_without_network_the_error_says_what_to_do(server, target):
    server.shutdown()
    server.server_close()
    with pytest.raises(StudyError, match=r"failed 5 times.*refused") as error:
        fetch(server.url, SHA256, target)
    assert "no network" in error.value.cause
    assert str(target) in error.value.remedy


def test_a_users_own_file_is_checked(tmp_path):
    file = tmp_path / "mine.bin"
    with pytest.raises(StudyError, match="does not exist"):
        check_file(file)
    file.write_bytes(b"")
    with pytest.raises(StudyError, match="is empty"):
        check_file(file)
    file.write_bytes(CONTENT)
    assert check_file(file) == file
    assert check_file(file, SHA256.upper()) == file
    assert sha256_of(file) == SHA256
    with pytest.raises(StudyError, match="not the pinned"):
        check_file(file, "0" * 64)


@pytest.mark.parametrize(
    ("text", "entry", "message"),
    [
        ("{", None, "not valid JSON"),
        ("[1]", None, "no text `url`"),
        ('{"url": "http://a/b"}', None, "no text `sha256`"),
        ("[1]", "first", "no entry 'first'"),
        ("text", "first", "no entry 'first'"),
    ],
)
def test_a_wrong_descriptor_is_named(tmp_path, text, entry, message):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(StudyError, match=message) as error:
        read_descriptor(tmp_path / "d.json", entry)
    assert error.value.where == tmp_path / "d.json"


def test_one_of_several_descriptors_is_taken_by_its_name(tmp_path):
    file = tmp_path / "d.json"
    file.write_text(json.dumps({"first": {"url": "https://a/b", "sha256": "0"}, "second": PINNED}))
    assert read_descriptor(file, "second") == PINNED
    with pytest.raises(StudyError, match="no entry 'third'") as error:
        read_descriptor(file, "third")
    assert error.value.remedy == "Its entries are first, second."


def test_a_download_that_is_there_is_taken_with_all_that_its_descriptor_says(tmp_path):
    (tmp_path / "w.bin").write_bytes(CONTENT)
    (tmp_path / "d.yaml").write_text(json.dumps(PINNED | {"name": "a test", "license": "MIT"}))
    file, origin = obtain_file(tmp_path / "d.yaml", tmp_path)
    assert file.read_bytes() == CONTENT
    assert origin == {"Origin": "a test", "URL": PINNED["url"], "License": "MIT", "SHA256": SHA256}
    (tmp_path / "d.json").write_text(json.dumps(PINNED))
    assert obtain_file(tmp_path / "d.json", tmp_path)[1]["Origin"] == "w.bin"


def test_the_users_own_file_is_taken_as_it_is(tmp_path):
    (tmp_path / "w.bin").write_bytes(CONTENT)
    file, origin = obtain_file(str(tmp_path / "w.bin"), tmp_path / "downloads")
    assert file == tmp_path / "w.bin"
    assert origin == {"Origin": "the user's file", "SHA256": SHA256}
    assert not (tmp_path / "downloads").exists()
