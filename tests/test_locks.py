"""A folder has one run at a time."""

import os
import subprocess
import sys

import pytest

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.locks import locked, tidy

HOLD = """
import sys, time
import asteroid_tfswa_cli  # so that no more of the package is imported
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.locks import locked
with locked(sys.argv[1]), atomic_write(sys.argv[1] + "/half.txt"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path / "run"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_has_one_run_at_a_time(tmp_path, holder):
    with pytest.raises(InputError, match=f"run: another run .*process {holder.pid}.* wait"):
        with locked(tmp_path / "run"):
            pass
    assert len(os.listdir(tmp_path / "run")) == 2  # its lock and its temporary file
    holder.kill()
    holder.wait()
    with locked(tmp_path / "run"):  # at once, and without the leftovers of the killed one
        assert os.listdir(tmp_path / "run") == [".lock"]
    assert os.listdir(tmp_path / "run") == []


def test_one_process_does_not_lock_twice(tmp_path):
    with locked(tmp_path):
        with pytest.raises(InputError, match="another run"), locked(tmp_path / "."):
            pass
    with locked(tmp_path):
        pass


def test_threads_of_a_process_may_share_a_lock(tmp_path):
    with locked(tmp_path, shared=True), atomic_write(tmp_path / "a.txt"):
        with locked(tmp_path, shared=True):
            pass
        assert len(os.listdir(tmp_path)) == 2  # the lock, and a file that is being written
        with pytest.raises(InputError, match="another run"), locked(tmp_path):
            pass
    assert os.listdir(tmp_path) == ["a.txt"]
    with locked(tmp_path), pytest.raises(InputError, match="another run"):
        with locked(tmp_path, shared=True):
            pass


def test_a_shared_lock_keeps_other_processes_out(tmp_path, holder):
    with pytest.raises(InputError, match=f"process {holder.pid}"):
        with locked(tmp_path / "run", shared=True):
            pass


def test_tidying_spares_a_folder_in_use(tmp_path, holder):
    tidy(tmp_path / "run")
    assert len(os.listdir(tmp_path / "run")) == 2
    holder.kill()
    holder.wait()
    tidy(tmp_path / "run")
    assert os.listdir(tmp_path / "run") == []
