"""Downloads, from a server in a thread of this process."""

from __future__ import annotations

import errno
import hashlib
import io
import socket
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.log import read_item_table, read_logs
from diffrec_cli.data.sources import public as module
from diffrec_cli.data.sources.public import PUBLIC_LOGS, PublicLog, download
from diffrec_cli.errors import DataError, DiffrecError, DownloadError, UsageError

LOGS = {
    "ml-100k": b"196\t242\t3\t881250949\n186\t302\t4\t891717742\n22\t242\t5\t878887116\n",
    "ml-1m": b"1::1193::5::978300760\n1::661::3::978302109\n2::661::4::978301968\n",
}
TABLES = {
    "ml-100k": (
        "242|Kolya (1996)|24-Jan-1997||http://us.imdb.com/M/title-exact?Kolya%20(1996)"
        "|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
        "302|L\xe9on, 1900 (1994) (V)|1-Jan-1994||http://|0|1|0|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|1\n"
        "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    ).encode("latin-1"),
    "ml-1m": (
        '661::James and the "Giant" Peach (1996)::Animation|Children\'s|Musical\r\n'
        "1193::Sh\x85 \xa1Am\xe9lie! (1975)::Drama\r\n"
    ).encode("latin-1"),
}


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


@dataclass
class Site:
    """A web site of one page."""

    url: str
    content: bytes = b""
    status: int = 200
    length: int | str | None = None  # said to be, if it is not that of the content
    requests: list[str] = field(default_factory=list)

    def publish(self, name: str, content: bytes | None = None) -> PublicLog:
        """Put an archive there, by default a small one of this name's form."""
        source = PUBLIC_LOGS[name]
        if content is None:
            content = archive({source.log: LOGS[name], source.items: TABLES[name], "../x": b"evil"})
        self.content = content
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return replace(source, url=f"{self.url}/{name}.zip", md5=md5)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page.requests.append(self.path)
            self.send_response(page.status)
            self.send_header("Content-Length", str(page.length or len(page.content)))
            self.end_headers()
            self.wfile.write(page.content)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        page = Site(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield page
        server.shutdown()
        thread.join()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def refusal(kind: type[DiffrecError], call: Callable[[], object]) -> DiffrecError:
    """Return the error of a call: one line of what, one line of fix."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert type(error) is kind
    assert error.what.isprintable()
    assert error.fix.isprintable()
    assert error.fix
    return error


@pytest.mark.parametrize("name", PUBLIC_LOGS)
def test_the_log_is_as_published_and_prepare_reads_it(
    site: Site, tmp_path: Path, name: str
) -> None:
    files = download(site.publish(name), tmp_path / "new" / "place")
    assert files.log.read_bytes() == LOGS[name]
    assert files.log.parent == tmp_path / "new" / "place"
    assert not files.reused
    log = read_logs([files.log], ReadOptions())
    assert len(log) == 3
    assert log.notes == (
        f"{files.log}: no header; user from column 1, item from column 2,"
        " rating from column 3, time from column 4",
    )


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "ml-100k",
            {
                "id": ["242", "302", "267"],
                "title": ["Kolya (1996)", "Léon, 1900 (1994) (V)", "unknown"],
                "year": ["1996", "1994", ""],
                "genres": ["Comedy", "Action|Drama|Western", ""],
            },
        ),
        (
            "ml-1m",
            {
                "id": ["661", "1193"],
                "title": ['James and the "Giant" Peach (1996)', "Sh\x85 ¡Amélie! (1975)"],
                "year": ["1996", "1975"],
                "genres": ["Animation|Children's|Musical", "Drama"],
            },
        ),
    ],
)
def test_the_item_table_is_one_that_prepare_reads(
    site: Site, tmp_path: Path, name: str, rows: dict[str, list[str]]
) -> None:
    files = download(site.publish(name), tmp_path)
    assert read_item_table(files.items).to_pydict() == rows


def test_progress_is_told_in_bytes_and_ends(site: Site, tmp_path: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    source = site.publish("ml-1m", archive({"a": bytes(range(256)) * 1000}) + b"\0" * 300_000)
    with pytest.raises(DataError):
        download(source, tmp_path, progress=lambda *event: heard.append(event))
    size = len(site.content)
    assert len(heard) > 3
    assert heard == sorted(heard)
    assert heard[-1] == (size, size)
    assert {total for _, total in heard} == {size}


class TestASecondCall:
    def test_asks_the_network_for_nothing_and_writes_nothing(
        self, site: Site, tmp_path: Path
    ) -> None:
        source = site.publish("ml-100k")
        first = download(source, tmp_path)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        again = download(source, tmp_path)
        assert again == replace(first, reused=True)
        assert site.requests == ["/ml-100k.zip"]
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before

    def test_writes_what_is_missing(self, site: Site, tmp_path: Path) -> None:
        source = site.publish("ml-1m")
        first = download(source, tmp_path)
        first.items.unlink()
        assert not download(source, tmp_path).reused
        assert first.items.exists()
        assert len(site.requests) == 1

    def test_without_the_archive_compares_with_what_is_published(
        self, site: Site, tmp_path: Path
    ) -> None:
        source = site.publish("ml-1m")
        download(source, tmp_path)
        (tmp_path / "ml-1m.zip").unlink()
        download(source, tmp_path)
        assert len(site.requests) == 2


def test_an_archive_that_was_put_there_by_hand_needs_no_network(site: Site, tmp_path: Path) -> None:
    source = replace(site.publish("ml-1m"), url="http://127.0.0.1:1/unreachable")
    (tmp_path / "ml-1m.zip").write_bytes(site.content)
    assert download(source, tmp_path).log.read_bytes() == LOGS["ml-1m"]


@pytest.mark.parametrize("name", ["ml-100k.zip", "ml-100k.tsv", "ml-100k-items.csv"])
def test_a_file_of_other_content_is_replaced_on_demand_only(
    site: Site, tmp_path: Path, name: str
) -> None:
    source = site.publish("ml-100k")
    (tmp_path / name).write_text("mine")
    error = refusal(UsageError, lambda: download(source, tmp_path))
    assert name in error.what
    assert "exists" in error.what
    assert "--overwrite" in error.fix
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "mine"
    download(source, tmp_path, overwrite=True)
    assert names(tmp_path) == ["ml-100k-items.csv", "ml-100k.tsv", "ml-100k.zip"]
    assert (tmp_path / name).read_text("latin-1") != "mine"


class TestTheNetwork:
    def test_a_status(self, site: Site, tmp_path: Path) -> None:
        source = site.publish("ml-1m")
        site.status = 404
        error = refusal(DownloadError, lambda: download(source, tmp_path / "new"))
        assert error.exit_code == 3
        assert error.what == f"{source.url}: the server answered with HTTP status 404"
        assert f"save {source.url} as {tmp_path / 'new' / 'ml-1m.zip'}" in error.fix
        assert names(tmp_path) == []

    @pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
    def test_nobody_there(self, site: Site, tmp_path: Path, host: str) -> None:
        source = replace(site.publish("ml-1m"), url=f"http://{host}/ml-1m.zip")
        error = refusal(DownloadError, lambda: download(source, tmp_path))
        assert f"http://{host}/ml-1m.zip: cannot be fetched (" in error.what
        assert "Max retries" not in error.what  # but what happened in the first place
        assert names(tmp_path) == []

    def test_silence(self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_TIMEOUT", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as server:  # which never answers
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            source = replace(site.publish("ml-1m"), url=url)
            error = refusal(DownloadError, lambda: download(source, tmp_path))
        assert error.what == f"{url}: cannot be fetched (timed out)"

    def test_other_content(self, site: Site, tmp_path: Path) -> None:
        source = site.publish("ml-1m")
        site.content += b"!"
        error = refusal(DownloadError, lambda: download(source, tmp_path))
        assert source.md5 in error.what
        assert f"{len(site.content):,} bytes" in error.what
        assert names(tmp_path) == []

    def test_a_connection_that_breaks(self, site: Site, tmp_path: Path) -> None:
        source = site.publish("ml-1m")
        site.length, site.content = len(site.content), site.content[:100]
        refusal(DownloadError, lambda: download(source, tmp_path))
        assert names(tmp_path) == []

    @pytest.mark.parametrize("length", ["-1", "many", "9" * 5000])
    def test_a_length_that_is_none(self, site: Site, tmp_path: Path, length: str) -> None:
        source = site.publish("ml-1m")
        site.length = length
        assert download(source, tmp_path).log.read_bytes() == LOGS["ml-1m"]

    def test_no_end(self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_LARGEST", 1000)
        source = site.publish("ml-1m", b"0" * 1_000_000)
        error = refusal(DownloadError, lambda: download(source, tmp_path))
        assert "65,536 bytes came" in error.what


def corrupt(content: bytes) -> bytes:
    """Return an archive with a flipped bit in its first member's data."""
    at = 60
    return content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]


def test_an_archive_of_another_form_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST", 100_000)
    log, items = PUBLIC_LOGS["ml-1m"].log, PUBLIC_LOGS["ml-1m"].items
    good = {log: LOGS["ml-1m"] * 50, items: TABLES["ml-1m"]}
    for content in (
        b"",
        b"no zip",
        archive({log: b"1::2::3::4\n"}),
        archive({"../" + log: b"", "/" + items: b""}),
        archive({**good, log: b"0" * 100_001}),
        archive({**good, items: b"1::2\n"}),
        archive({**good, items: b""}),
        corrupt(archive(good)),
    ):
        source = site.publish("ml-1m", content)
        error = refusal(DataError, lambda source=source: download(source, tmp_path / "new"))
        assert "not an archive of ml-1m as it is known" in error.what
        assert names(tmp_path) == []


def test_what_else_an_archive_has_is_left_in_it(site: Site, tmp_path: Path) -> None:
    download(site.publish("ml-1m"), tmp_path / "here")  # which has ../x
    assert names(tmp_path) == ["here"]
    assert names(tmp_path / "here") == ["ml-1m-items.csv", "ml-1m.dat", "ml-1m.zip"]


def test_no_room_on_the_disk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    source = site.publish("ml-1m")
    monkeypatch.setattr(Path, "open", full)
    error = refusal(UsageError, lambda: download(source, tmp_path))
    assert "no space left" in error.what
    assert names(tmp_path) == []


def test_a_directory_that_may_not_be_read(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    source = site.publish("ml-1m")
    monkeypatch.setattr(Path, "is_file", forbidden)
    assert "Permission denied" in refusal(UsageError, lambda: download(source, tmp_path)).what


def test_a_directory_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        source = site.publish("ml-1m")
        error = refusal(UsageError, lambda source=source, to=directory: download(source, to))
        assert "--dir" in error.fix


def test_what_is_published() -> None:
    """Addresses and checksums of GroupLens; a change here needs a source."""
    assert {name: (source.url, source.md5) for name, source in PUBLIC_LOGS.items()} == {
        "ml-100k": (
            "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            "0e33842e24a9c977be4e0107933c0723",
        ),
        "ml-1m": (
            "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
            "c4d9eecfca2ab87c1945afe126590906",
        ),
    }
