"""Many requests a second to ``diffrec serve``, while models change.

``python serve_load.py --seconds 60 --changes 20`` starts a server of the default model, asks it by
``wrk`` (Debian has it) for lists of random users, 30 % of them by a history, and stores the same
model as a new version again and again. Prints speed, times, what was lost, and the memory a minute.
``--rate`` holds the requests near so many a second; without it, wrk asks as fast as it is answered.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
from serving import Server, serving

from diffrec_cli import workflows
from diffrec_cli.registry import versions as registry

REQUESTS, BY_HISTORY, LONGEST = 20_000, 0.3, 50
SCRIPT = """
local requests, mean = {}, 0
local head = {["Content-Type"] = "application/json"}
function init(args)
  math.randomseed(tonumber(args[3]))
  mean = tonumber(args[2])
  for line in io.lines(args[1]) do
    local path, body = line:match("^(%S+) (.*)$")
    local method = body == "" and "GET" or "POST"
    requests[#requests + 1] = wrk.format(method, path, body ~= "" and head or nil, body)
  end
end
function request() return requests[math.random(#requests)] end
"""
DELAY = "function delay() return math.floor(-mean * math.log(1 - math.random())) end\n"


def main() -> None:
    """Run the load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving() as server:
        directory = Path(name)
        _write_requests(directory / "requests", asked.seed)
        _run_wrk(server, directory, argparse.Namespace(**{**vars(asked), "seconds": 3}))  # warm
        memory: list[int] = []
        stop = threading.Event()
        watching = threading.Thread(target=_watch, args=(server, memory, stop))
        changing = threading.Thread(target=_change, args=(directory, asked))
        watching.start()
        changing.start()
        report = _run_wrk(server, directory, asked)
        stop.set()
        watching.join()
        changing.join()
        loads = server.figure("diffrec_model_loads_total") - 1
        lines = server.log.read_text().splitlines()
    print(report.strip())
    print(f"models taken: {loads:.0f}, of {asked.changes} new ones and the first again")
    every = max(1, len(memory) // 20)
    print("memory in MB:", " ".join(f"{size / 1e6:.0f}" for size in memory[::every]))
    told = [line for line in lines if "takes the place" not in line and "serving" not in line]
    print("\n".join(["the server told:", *told]) if told else "the server told of no fault")
    if re.search("Non-2xx|Socket errors", report) or told:
        raise SystemExit("requests were lost")


def _write_requests(path: Path, seed: int) -> None:
    """Write random requests, a line each: a path, and a body or nothing."""
    dataset, chance = registry.resolve().dataset(), np.random.default_rng(seed)
    users, items = dataset.user_ids.array.to_pylist(), dataset.item_ids.array.to_pylist()
    lines = []
    for user in chance.integers(0, len(users), REQUESTS):
        if chance.random() >= BY_HISTORY:
            lines.append(f"/recommend?user={quote(users[user])} ")
            continue
        history = dataset.known.of(user)[-int(chance.integers(1, LONGEST + 1)) :]
        body = json.dumps({"history": [items[item] for item in history]})
        lines.append(f"/recommend {body}")
    path.write_text("\n".join(lines) + "\n")


def _run_wrk(server: Server, directory: Path, asked: argparse.Namespace) -> str:
    (directory / "ask.lua").write_text(SCRIPT + (DELAY if asked.rate else ""))
    mean = 1000 * asked.connections / asked.rate if asked.rate else 0
    script = ["--latency", "--script", str(directory / "ask.lua")]
    shape = ["-t1", f"-c{asked.connections}", f"-d{asked.seconds}s", "--timeout", "10s"]
    address = f"http://127.0.0.1:{server.port}"
    arguments = ["--", str(directory / "requests"), str(mean), str(asked.seed)]
    command = ["wrk", *shape, *script, address, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _watch(server: Server, memory: list[int], stop: threading.Event) -> None:
    while not stop.wait(1.0):
        memory.append(server.memory)


def _change(directory: Path, asked: argparse.Namespace) -> None:
    """Store the model as a new version again and again, and leave the registry as it was."""
    first = registry.resolve().record.reference
    exported, before = registry.export(first, directory / "model.tar"), first
    for _ in range(asked.changes):
        time.sleep(asked.seconds / (asked.changes + 1))
        new = registry.import_(exported).record.reference
        workflows.default_model(new)
        if before != first:
            time.sleep(0.2)
            registry.remove(before)
        before = new
    time.sleep(2)
    workflows.default_model(first)
    time.sleep(3)
    if before != first:
        registry.remove(before)


if __name__ == "__main__":
    main()
