import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from diffrec_cli import memory

resource = pytest.importorskip("resource")  # not on Windows


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Let the module read a Linux system of our making."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
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


def write(directory, **figures):
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in figures.items():
        (directory / name.replace("memory_", "memory.")).write_text(text)


def test_a_container_of_version_1_has_what_its_limit_leaves(system):
    group = system / "memory"
    write(group, memory_limit_in_bytes="3000000\n", memory_usage_in_bytes="1000000\n")
    assert memory.available_memory() == 2_000_000


def test_version_1_writes_no_limit_as_a_large_number(system):
    group = system / "memory"
    write(group, memory_limit_in_bytes="9223372036854771712\n", memory_usage_in_bytes="1\n")
    assert memory.available_memory() == 4000 * 1024


def test_the_tightest_of_nested_groups_counts(system):
    (system / "own").write_text("7:cpu,memory:/outer/inner\n3:cpuset:/other\n0::/two\n")
    for group, limit in (("memory/outer", 900_000), ("memory/outer/inner", 800_000)):
        write(system / group, memory_limit_in_bytes=str(limit), memory_usage_in_bytes="100000")
    write(system / "other", memory_max="1", memory_current="0")  # not a group of memory
    assert memory.available_memory() == 700_000
    write(system / "two", memory_max="500000", memory_current="0")
    assert memory.available_memory() == 500_000


def test_a_cache_of_files_gives_way(system):
    write(system, memory_max="3000000", memory_current="2900000")
    write(system, memory_stat="anon 900000\ninactive_file 2000000\n")
    assert memory.available_memory() == 2_100_000


def test_a_limit_of_the_address_space_counts(system, monkeypatch):
    (system / "status").write_text("VmPeak: 900 kB\nVmSize:\t 600 kB\n")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1_000_000, -1))
    assert memory.available_memory() == 1_000_000 - 600 * 1024


def test_libraries_reserve_little_where_the_address_space_is_tight(system, monkeypatch):
    monkeypatch.setattr(os, "environ", {"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"})
    memory.fit_into_limits()
    assert os.environ == {"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"}
    monkeypatch.setattr(memory, "address_space_left", lambda: 10**9)
    monkeypatch.setattr(memory, "_M_ARENA_MAX", 0)  # this process is to stay as it is
    memory.fit_into_limits()
    said = {"ARROW_DEFAULT_MEMORY_POOL": "jemalloc", "OPENBLAS_NUM_THREADS": "1"}
    assert os.environ == said


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such a limit may not hold")
def test_the_program_needs_half_a_gigabyte_of_address_space(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("user,item,time\n" + "".join(f"u{n % 9},i{n % 7},{n}\n" for n in range(99)))
    limit = 600_000_000
    done = subprocess.run(
        [sys.executable, "-m", "diffrec_cli", "prepare", str(log), "--dry-run"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


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
