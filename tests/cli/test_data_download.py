"""``diffrec data download``, from a server in a thread of this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.data.sources.public import PUBLIC_LOGS
from diffrec_cli.workflows import download_data
from diffrec_cli.workflows.progress import Event, Note, Step
from tests.cli.conftest import Cli
from tests.cli.test_bad_input import refused
from tests.data.sources.test_public import TABLES, Site, archive, site

__all__ = ["site"]  # a fixture


Publish = Callable[..., Site]


@pytest.fixture
def publish(site: Site, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Have ml-100k published on this machine, by default a small one."""

    def call(content: bytes | None = None) -> Site:
        source = site.publish("ml-100k", content)
        monkeypatch.setattr(download_data, "PUBLIC_LOGS", {**PUBLIC_LOGS, "ml-100k": source})
        return site

    return call


@pytest.fixture
def published(publish: Publish) -> Site:
    return publish()


@pytest.mark.usefixtures("published")
def test_stdout_has_the_path_of_the_log_and_stderr_what_to_do_with_it(
    cli: Cli, tmp_path: Path
) -> None:
    directory = tmp_path / "my data"
    outcome = cli("data", "download", "ml-100k", "--dir", directory)
    log, items = directory / "ml-100k.tsv", directory / "ml-100k-items.csv"
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{log}\n"
    assert outcome.err.splitlines() == [
        f"wrote {log} and {items}",
        "MovieLens' licence: research only, and the files may not be passed on; see README in "
        f"{directory / 'ml-100k.zip'}",
        f"next: diffrec fit '{log}' --items '{items}'",
    ]
    again = cli("data", "download", "ml-100k", "--dir", directory)
    assert (again.code, again.out) == (0, outcome.out)
    assert again.err.startswith("reused ")


@pytest.mark.usefixtures("published")
def test_the_files_go_to_this_directory_by_default(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("data", "download", "ml-100k", "-q").out == "ml-100k.tsv\n"
    assert (tmp_path / "ml-100k.tsv").exists()


def test_prepare_reads_what_was_downloaded(cli: Cli, publish: Publish, tmp_path: Path) -> None:
    rows = "".join(f"{u}\t{i}\t5\t{u + i}\n" for u in range(9) for i in range(240, 252))
    members = {
        PUBLIC_LOGS["ml-100k"].log: rows.encode(),
        PUBLIC_LOGS["ml-100k"].items: TABLES["ml-100k"],
    }
    publish(archive(members))
    log = cli("data", "download", "ml-100k", "--dir", tmp_path).out.strip()
    outcome = cli("prepare", log, "--items", tmp_path / "ml-100k-items.csv")
    assert outcome.code == 0, outcome.err
    assert '"dataset": "ml-100k"' in outcome.out
    assert '"users": 9' in outcome.out


def test_a_listener_hears_of_bytes_and_of_the_licence(site: Site, tmp_path: Path) -> None:
    heard: list[Event] = []
    workflows.download(site.publish("ml-1m"), tmp_path, listener=heard.append)
    size = len(site.content)
    assert heard[0] == Step("downloading", size, size, "bytes")
    assert [type(event) for event in heard[1:]] == [Note, Note]


def test_an_unknown_name(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("data", "download", "ml-20m", "--dir", tmp_path)
    refused(outcome, 2, "ml-20m")
    assert "ml-100k, ml-1m" in outcome.err


def test_no_network(cli: Cli, published: Site, tmp_path: Path) -> None:
    published.status = 503
    refused(cli("data", "download", "ml-100k", "--dir", tmp_path), 3, published.url, "503")


def test_another_checksum(cli: Cli, published: Site, tmp_path: Path) -> None:
    published.content = b"<html>log in to this network</html>"
    refused(cli("data", "download", "ml-100k", "--dir", tmp_path), 3, "MD5", "35 bytes")
    assert list(tmp_path.iterdir()) == []


def test_files_of_the_users_own(cli: Cli, published: Site, tmp_path: Path) -> None:
    (tmp_path / "ml-100k.tsv").write_text("mine")
    refused(cli("data", "download", "ml-100k", "--dir", tmp_path), 2, "ml-100k.tsv exists")
    assert (tmp_path / "ml-100k.tsv").read_text() == "mine"
    outcome = cli("data", "download", "ml-100k", "--dir", tmp_path, "--overwrite")
    assert outcome.code == 0
    assert len(published.requests) == 2
