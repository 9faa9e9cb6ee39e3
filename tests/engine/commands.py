"""Training commands in separate processes, forked from one that has imported everything."""

import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import time

from tests.engine import tiny

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["asteroid_tfswa.engine.train", "asteroid_tfswa_cli", __name__])


class Command:
    """A training command in its own session.

    Args:
        out (Path): file that gets its output.
        data_dir, exp_dir (Path): see `train`.
        devices (str): see `train`. Default "cpu".
        setup (callable): called in the process before training, to change something.
        **changes: of `tiny.make_conf`.
    """

    def __init__(self, out, data_dir, exp_dir, devices="cpu", setup=None, **changes):
        self.out = out
        self.process = CONTEXT.Process(
            target=_command, args=(out, setup, data_dir, exp_dir, devices, changes)
        )
        self.process.start()

    @property
    def lines(self):
        """Lines of output so far."""
        return self.out.read_text().splitlines() if self.out.exists() else []

    def wait_for(self, text, seconds=120):
        """Wait until the output has `text`."""
        deadline = time.monotonic() + seconds
        while text not in "\n".join(self.lines):
            assert self.process.is_alive() and time.monotonic() < deadline, self.lines
            time.sleep(0.005)

    def send(self, signum):
        """Send a signal to all its processes."""
        try:
            os.killpg(self.process.pid, signum)
        except ProcessLookupError:  # it has no session of its own yet, or has ended
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signum)

    def end(self, seconds=120):
        """Wait for its end and return the exit status; all its processes must end soon."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, self.lines
        deadline = time.monotonic() + 10
        while members(self.process.pid):
            assert time.monotonic() < deadline, "a process is left"
            time.sleep(0.05)
        return self.process.exitcode


def members(session):
    """Processes of a session, zombies aside.

    Args:
        session (int): its first process.

    Returns:
        list of str: their ids.
    """
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                state, _, _, number = file.read().rsplit(")", 1)[1].split()[:4]
        except OSError:
            continue
        if int(number) == session and state not in "ZX":
            found.append(pid)
    return found


def _command(out, setup, data_dir, exp_dir, devices, changes):
    from asteroid_tfswa_cli import run_command

    multiprocessing.set_start_method("fork", force=True)  # workers start as in a plain command
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(out, "w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.stdout = open(1, "w", buffering=1)
    sys.stderr = open(2, "w", buffering=1)
    if setup:
        setup()
    run_command(lambda: tiny.run(data_dir, exp_dir, devices, **changes))


def limit_file_size(n_bytes):
    """Let this process write no larger file, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def shrink_shared_memory(size):
    """Give this process a small /dev/shm of its own, as containers have it; needs to be root."""
    CLONE_NEWNS = 0x00020000
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "x", "/dev/shm"], check=True)


def be_one_of(rank, port, environ, broken_rank=None):
    """Make this process one of several, as a launcher starts them.

    Args:
        rank (int): its number.
        port (int): where the first one listens.
        environ (dict): environment variables of the launcher.
        broken_rank (int, optional): the process that gets NaN from step 2 on.
    """
    from pytorch_lightning.utilities import rank_zero_only

    rank_zero_only.rank = rank
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **environ}
    forward, counts = tiny.TinyModel.forward, [0]

    def forward_to_nan(self, wave):
        counts[0] += self.training
        return forward(self, wave) * (float("nan") if self.training and counts[0] > 1 else 1)

    if rank == broken_rank:
        tiny.TinyModel.forward = forward_to_nan


def free_port():
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
