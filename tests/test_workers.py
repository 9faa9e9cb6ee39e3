"""Workers end with the process that started them, however that ends."""

import os
import signal
import subprocess
import sys

import pytest

MAIN = """
import os, signal, sys, time
import asteroid_tfswa_cli  # so that no more of the package is imported
from asteroid_tfswa.workers import worker_pool

def terminate(signum, frame):
    raise KeyboardInterrupt

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    try:
        with worker_pool(2) as submit:
            threads = submit(os.getenv, "OMP_NUM_THREADS")
            running = [submit(time.sleep, 100) for _ in range(4)]
            print(threads.result(), flush=True)
            if sys.argv[1:] == ["waits for a result"]:
                running[0].result()
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize(
    "sent, to_all, status, block",
    [
        (signal.SIGINT, True, 130, "waits for a result"),  # to the group, as a terminal does
        (signal.SIGINT, True, 130, "has ended"),
        (signal.SIGTERM, False, 130, "waits for a result"),
        (signal.SIGTERM, True, 130, "has ended"),
        (signal.SIGKILL, False, -signal.SIGKILL, "waits for a result"),
    ],
)
def test_no_worker_outlives_its_parent(tmp_path, sent, to_all, status, block):
    (tmp_path / "main.py").write_text(MAIN)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "main.py", block],
        env={**os.environ, "OMP_NUM_THREADS": "7"},
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout.readline() == "1\n"  # one thread in each worker
    os.kill(-process.pid if to_all else process.pid, sent)
    process.communicate(timeout=30)  # ends with the last process that holds the pipe
    assert process.returncode == status
