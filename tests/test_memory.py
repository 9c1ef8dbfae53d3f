import pytest

from diffrec_cli import memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Let the module read a Linux system of our making."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 4000 kB\n")
    return tmp_path


def test_linux_counts_what_is_available_not_what_is_free(system):
    assert memory.available_memory() == 4000 * 1024


def test_a_container_has_what_its_limit_leaves(system):
    (system / "memory.max").write_text("3000000\n")
    (system / "memory.current").write_text("1000000\n")
    assert memory.available_memory() == 2_000_000


def test_a_container_without_a_limit_has_what_the_system_has(system):
    (system / "memory.max").write_text("max\n")
    assert memory.available_memory() == 4000 * 1024


def test_elsewhere_it_is_the_physical_memory(system, monkeypatch):
    (system / "meminfo").unlink()
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf", pages.__getitem__)
    assert memory.available_memory() == 4096 * 1000


def test_where_nobody_knows_it_is_none(system, monkeypatch):
    (system / "meminfo").unlink()
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available_memory() is None
