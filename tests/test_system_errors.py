"""What the system refuses is told with its place, its fix and the exit code of that place."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from diffrec_cli.errors import DataError, DeviceError, StorageError, UsageError
from diffrec_cli.system_errors import exhausted, reading, refusal, unreadable, writing

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO)


def refused(number: int, path: Path | None = None) -> OSError:
    return OSError(number, os.strerror(number), None if path is None else str(path))


@pytest.mark.parametrize("number", [*FORBIDDEN, errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_below_the_home_it_is_a_fault_of_storage_and_elsewhere_of_the_request(
    number: int, isolated_home: Path, tmp_path: Path
) -> None:
    for path, kind, code in (
        (isolated_home / "models", StorageError, 6),
        (isolated_home, StorageError, 6),
        (tmp_path / "lists.csv", UsageError, 2),
        (tmp_path / "home-of-another", UsageError, 2),
    ):
        with pytest.raises(kind) as caught, writing(path):
            raise refused(number)
        assert caught.value.exit_code == code
        assert str(path) in caught.value.what
        assert caught.value.fix


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_matter_of_permissions(number: int, tmp_path: Path) -> None:
    error = refusal(refused(number), tmp_path / "x")
    assert error is not None
    assert "no space left" in error.what
    assert "permission" not in error.fix


def test_an_error_may_name_its_place_itself_or_have_none(isolated_home: Path) -> None:
    own = refusal(refused(errno.EACCES, isolated_home / "config.toml"), verb="use")
    assert isinstance(own, StorageError)
    assert f"cannot use {isolated_home / 'config.toml'}: Permission denied" == own.what
    nameless = refusal(refused(errno.ENOSPC))
    assert isinstance(nameless, UsageError)
    assert nameless.what == "no space left on the disk while writing the output"


def test_braces_in_the_systems_own_words_stay(tmp_path: Path) -> None:
    error = refusal(OSError(errno.EBUSY, "device {sda} {} failed"), tmp_path / "{x}")
    assert error is not None
    assert error.what == f"cannot write {tmp_path / '{x}'}: device {{sda}} {{}} failed"


def test_without_a_place_for_temporary_files_that_is_what_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*unused: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(FileNotFoundError) as caught:
        tempfile.gettempdir()
    error = refusal(caught.value)
    assert isinstance(error, StorageError)
    assert "temporary files" in error.what
    assert "TMPDIR" in error.fix


@pytest.mark.parametrize(
    ("error", "what", "fix"),
    [
        (MemoryError(), "out of memory", "ulimit -v"),
        (MemoryError("Unable to allocate 1.2 GiB for an array"), "1.2 GiB at once", "ulimit -v"),
        (RuntimeError("can't allocate memory: you tried to allocate 64 bytes"), "64 bytes", ""),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "memory", ""),
        (refused(errno.ENOMEM), "out of memory", "ulimit -v"),
        (refused(errno.EMFILE), "out of file handles", "ulimit -n"),
        (refused(errno.ENFILE), "out of file handles", "ulimit -n"),
        (ImportError("libz.so: cannot open: Too many open files"), "out of file handles", ""),
        (RuntimeError("can't start new thread"), "out of threads", "ulimit -u"),
        (refused(errno.EAGAIN), "out of threads", "ulimit -u"),
    ],
)
def test_memory_handles_and_threads_are_told_by_name_wherever_they_run_out(
    error: Exception, what: str, fix: str, isolated_home: Path
) -> None:
    for found in (exhausted(error), unreadable(error, isolated_home), refusal(error)):
        assert isinstance(found, DeviceError)
        assert found.exit_code == 5
        assert what in found.what
        assert fix in found.fix


def test_who_stumbles_over_a_lack_of_memory_tells_of_that() -> None:
    def stumble() -> None:
        try:
            raise MemoryError
        except MemoryError:
            "half".missing()  # type: ignore[attr-defined]

    with pytest.raises(AttributeError) as caught:
        stumble()
    assert isinstance(exhausted(caught.value), DeviceError)


def test_words_of_a_users_data_are_no_lack_of_anything() -> None:
    for error in (ValueError("row 3: out of memory"), DataError("too many open files", "")):
        assert exhausted(error) is None
    assert exhausted(FileNotFoundError(errno.ENOENT, "no such file", "out of memory.csv")) is None


def test_what_cannot_be_read_is_told_from_what_is_absent_or_damaged(isolated_home: Path) -> None:
    path = isolated_home / "models" / "shop"
    with pytest.raises(StorageError, match="Permission denied"), reading(path):
        raise refused(errno.EACCES)
    for error in (FileNotFoundError(), IsADirectoryError(), ValueError("no JSON")):
        with pytest.raises(type(error)), reading(path):
            raise error


def test_a_lack_of_memory_while_writing_stays_one_for_those_who_know_what_to_do(
    tmp_path: Path,
) -> None:
    with pytest.raises(MemoryError, match="Cannot allocate"), writing(tmp_path):
        raise refused(errno.ENOMEM)


def test_a_reader_that_left_is_no_refusal() -> None:
    assert refusal(BrokenPipeError(errno.EPIPE, "Broken pipe")) is None
