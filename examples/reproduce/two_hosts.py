"""Two network namespaces as two hosts: a fit, a process killed in its midst, and its resumption.

Each host runs its own ``torchrun`` with two processes; they meet at the address of the first one.
In the third epoch a process of the second host gets SIGKILL. Printed are how long the job took to
end after that and its last words, then the valid Recall@20 that fewer processes reach with
``--resume``, beside that of an undisturbed fit in one process. Needs Linux and root.

    python two_hosts.py [DATASET] [VARIANT] [EPOCHS]
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from diffrec_cli.paths import runs_dir

HOSTS = ("diffrec-a", "diffrec-b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 29577
ENDED_WITHIN = 30.0


def system(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True)


def make_hosts() -> None:
    """Two namespaces with a cable between them."""
    remove_hosts()
    for host in HOSTS:
        system("ip", "netns", "add", host)
    system("ip", "link", "add", "cable-a", "type", "veth", "peer", "name", "cable-b")
    for host, end, address in zip(HOSTS, ("cable-a", "cable-b"), ADDRESSES, strict=True):
        system("ip", "link", "set", end, "netns", host)
        within = ("ip", "-n", host)
        system(*within, "addr", "add", f"{address}/24", "dev", end)
        system(*within, "link", "set", end, "up")
        system(*within, "link", "set", "lo", "up")


def remove_hosts() -> None:
    """Remove what there is of the namespaces."""
    for host in HOSTS:
        subprocess.run(("ip", "netns", "del", host), stderr=subprocess.DEVNULL)


def start(host: int, command: list[str], errors: Path) -> subprocess.Popen[bytes]:
    """Start torchrun on a host."""
    launcher = [
        *("ip", "netns", "exec", HOSTS[host], sys.executable, "-m", "torch.distributed.run"),
        *("--nnodes", "2", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-id", "drill"),
        *("--rdzv-endpoint", f"{ADDRESSES[0]}:{PORT}", "--local-addr", ADDRESSES[host]),
        *("--rdzv-conf", f"is_host={host == 0}"),  # a namespace shares the name of its machine
    ]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": ("cable-a", "cable-b")[host]}
    return subprocess.Popen(
        [*launcher, "-m", "diffrec_cli", *command], stderr=errors.open("wb"), env=environment
    )


def workers(host: int) -> list[int]:
    """Return the processes of a host that fit."""
    pids = subprocess.run(("ip", "netns", "pids", HOSTS[host]), capture_output=True, text=True)
    found = []
    for pid in pids.stdout.split():
        with suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"diffrec_cli" in line and b"torch.distributed.run" not in line:
                found.append(int(pid))
    return sorted(found)


def epochs_done() -> int:
    """Return the epochs that the latest run has logged."""
    logs = list(runs_dir().glob("*/epochs.jsonl"))
    latest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
    return 0 if latest is None else len(latest.read_text().splitlines())


def kill_one(command: list[str], directory: Path) -> None:
    """Begin the fit on both hosts, kill a process of the second, and tell how the job ends."""
    errors = [directory / f"host-{name}.txt" for name in "ab"]
    jobs = [start(host, command, errors[host]) for host in (0, 1)]
    before = epochs_done()
    while epochs_done() - before < 3 or not workers(1):
        if any(job.poll() is not None for job in jobs):
            raise SystemExit(errors[0].read_text())
        time.sleep(0.2)
    victim = workers(1)[-1]
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    while any(job.poll() is None for job in jobs):
        time.sleep(0.05)
    took = time.monotonic() - killed
    print(f"killed {victim} on the second host after {epochs_done()} epochs")
    print(f"both hosts ended after {took:.1f} s, codes {[job.returncode for job in jobs]}")
    for line in errors[0].read_text().splitlines():
        if line.startswith(("error:", "  fix:")):
            print(f"first host: {line}")
    if took > ENDED_WITHIN:
        raise SystemExit(f"that is more than {ENDED_WITHIN:.0f} s")


def finished(command: list[str], processes: int) -> dict[str, float]:
    """Run the fit with so many processes on this machine; return its valid metrics."""
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    launcher = [sys.executable, *(several if processes > 1 else [])]
    done = subprocess.run(
        [*launcher, "-m", "diffrec_cli", *command, "--format", "json", "-q"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    """Run the drill."""
    data, variant, epochs = [*sys.argv[1:], *("s", "t+masking", "12")[len(sys.argv) - 1 :]][:3]
    fit = ["fit", data, "-v", variant, "--epochs", epochs, "--precision", "fp32"]
    make_hosts()
    try:
        kill_one([*fit, "--name", "drill"], Path.cwd())
    finally:
        remove_hosts()
    resumed = finished([*fit, "--name", "drill", "--resume"], 2)
    whole = finished([*fit, "--name", "drill-alone"], 1)
    for what, result in (("resumed by 2 processes", resumed), ("undisturbed, 1 process", whole)):
        print(f"{what}: {result['epochs']} epochs, valid {result['valid']['recall@20']:.6f}")


if __name__ == "__main__":
    main()
