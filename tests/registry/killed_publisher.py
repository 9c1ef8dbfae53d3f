"""Publish models and be killed; a script, run by test_versions.py in a process of its own.

Every attempt is a fork, so that nothing is imported twice; the parent itself never
publishes, because threads of its libraries would not survive the fork.
"""

import importlib
import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

samples = importlib.import_module("registry.samples")
for module in ("filelock", "safetensors.numpy", "pyarrow.parquet"):
    importlib.import_module(module)
samples.dataset()  # makes pyarrow import the rest of what it needs

OPERATIONS = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def die_at(operation):
    """Kill this process just before the n-th operation that changes files of the registry."""
    counter = itertools.count(1)

    def hook(event, arguments):
        changes = event in OPERATIONS or (event == "open" and arguments[2] & WRITES)
        ours = changes and os.environ["DIFFREC_HOME"] in str(arguments[0])
        if ours and next(counter) == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def publish_until_killed_at_every_operation():
    kills = 0
    while killed_at(kills + 1):
        kills += 1
    return kills


def killed_at(operation):
    """Return whether a publish died at its n-th operation; otherwise it had fewer."""
    pid = os.fork()
    if pid == 0:
        die_at(operation)
        samples.store()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status and not os.WIFSIGNALED(status):
        sys.exit("publishing failed by itself")
    return os.WIFSIGNALED(status)


def publish_until_killed_at_any_moment(attempts=12):
    rng = random.Random(1)
    for _ in range(attempts):
        pid = os.fork()
        if pid == 0:
            while True:
                samples.store()
        time.sleep(rng.uniform(0.01, 0.15))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return attempts


if __name__ == "__main__":
    attempts = {
        "at-every-file-operation": publish_until_killed_at_every_operation,
        "at-any-moment": publish_until_killed_at_any_moment,
    }
    sys.stdout.write(str(attempts[sys.argv[1]]()))
