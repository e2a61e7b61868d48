import hashlib
import http.server
import threading

import pytest

from rhvae_mri.downloads import check_file, fetch, sha256_of
from rhvae_mri.errors import StudyError

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


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
        start = (
            int(asked.removeprefix("bytes=").rstrip("-")) if asked and not self.server.ignores_ranges else 0
        )
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
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(server, target, **options):
    return fetch(server.url, SHA256, target, pause=0.0, timeout=5.0, **options)


def test_a_file_is_downloaded_once(server, tmp_path):
    target = tmp_path / "new" / "weights.bin"
    assert get(server, target) == target
    assert target.read_bytes() == CONTENT
    get(server, target)
    assert server.ranges == [None]
    assert [path.name for path in target.parent.iterdir()] == ["weights.bin"]


def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path):
    server.plan = ["break off", "break off"]
    get(server, tmp_path / "weights.bin")
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]


def test_another_run_goes_on_where_the_last_one_stopped(server, tmp_path):
    server.plan = ["break off"]
    with pytest.raises(StudyError, match="failed 1 times"):
        get(server, tmp_path / "weights.bin", attempts=1)
    assert not (tmp_path / "weights.bin").exists()
    get(server, tmp_path / "weights.bin")
    assert server.ranges[-1] == f"bytes={len(CONTENT) // 2}-"


def test_a_server_without_ranges_sends_the_whole_file_again(server, tmp_path):
    server.plan, server.ignores_ranges = ["break off"], True
    get(server, tmp_path / "weights.bin")
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("rest", [b"something else entirely", CONTENT[:-1] + b"?"])
def test_a_stale_part_is_thrown_away(server, tmp_path, rest):
    (tmp_path / "weights.bin.part").write_bytes(rest)
    get(server, tmp_path / "weights.bin")
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT
    assert server.ranges[-1] is None


def test_a_complete_part_needs_no_transfer(server, tmp_path):
    (tmp_path / "weights.bin.part").write_bytes(CONTENT)
    get(server, tmp_path / "weights.bin")
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT


def test_passing_errors_of_the_server_are_retried(server, tmp_path):
    server.plan = [503, 429, 500]
    get(server, tmp_path / "weights.bin")
    assert len(server.ranges) == 4


def test_a_missing_file_is_not_asked_for_twice(server, tmp_path):
    server.plan = [404]
    with pytest.raises(StudyError, match="answers 404") as error:
        get(server, tmp_path / "weights.bin")
    assert error.value.where == server.url
    assert len(server.ranges) == 1


def test_the_wrong_file_is_refused_and_removed(server, tmp_path):
    with pytest.raises(StudyError, match=f"{SHA256}, not the pinned {'0' * 64}"):
        fetch(server.url, "0" * 64, tmp_path / "weights.bin", pause=0.0)
    assert list(tmp_path.iterdir()) == []
    assert len(server.ranges) == 1


def test_a_file_of_an_older_pin_is_replaced(server, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"older")
    get(server, tmp_path / "weights.bin")
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT


def test_without_network_the_error_says_what_to_do(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(StudyError, match=r"failed 2 times.*refused") as error:
        get(server, tmp_path / "weights.bin", attempts=2)
    assert "no network" in error.value.cause
    assert str(tmp_path / "weights.bin") in error.value.remedy


def test_only_web_addresses_are_accepted(tmp_path):
    with pytest.raises(StudyError, match="not an http"):
        fetch("file:///etc/hosts", SHA256, tmp_path / "x")


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
