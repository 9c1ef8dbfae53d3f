import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

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


def test_the_peak_of_a_child_is_not_that_of_its_parent():
    held = np.ones(75_000_000)  # 600 MB
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        peak = pool.submit(memory.peak_memory, "cpu").result()
    assert memory.peak_memory("cpu") > held.nbytes
    assert 10**7 < peak < held.nbytes / 2


def test_a_peak_is_remembered_after_it_is_over():
    before = memory.peak_memory("cpu")
    np.ones(before // 8 + 10**7)  # more than all that was there
    assert memory.peak_memory("cpu") > before + 10**7


def test_on_cuda_the_peak_is_that_of_the_device_since_its_reset(monkeypatch):
    called = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", called.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {"cuda:1": 12345}.__getitem__)
    memory.reset_peak_memory("cuda:1")
    assert called == ["cuda:1"]
    assert memory.peak_memory("cuda:1") == 12345


def test_where_nobody_knows_a_peak_it_is_0(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory.peak_memory("cpu") == 0
