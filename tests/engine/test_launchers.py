"""Processes that torchrun or SLURM has started: who they are, and how they end and continue."""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from asteroid_tfswa.engine.processes.launchers import Launcher, find_launcher, place
from asteroid_tfswa.errors import InputError
from tests.engine import tiny
from tests.engine.commands import Command, be_one_of, free_port

REPO = Path(__file__).parents[2]
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"}
TORCHRUN |= {"WORLD_SIZE": "2"}
SLURM = {"SLURM_JOB_ID": "123456", "SLURM_STEP_ID": "0", "SLURM_NNODES": "2", "SLURM_NTASKS": "2"}
SLURM |= {"SLURM_NTASKS_PER_NODE": "1", "SLURM_LOCALID": "0", "SLURM_JOB_NAME": "tiny"}
SHARED = {"batch_size": 2, "epoch_size": 8, "accumulate": 2}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def start(data_dir, tmp_path):
    """Function that starts the processes of a run in `tmp_path / exp`."""
    commands = []

    def start(exp, environs, name="", **changes):
        port = free_port()
        started = [
            Command(
                tmp_path / f"{exp}{name}{rank}",
                data_dir,
                tmp_path / exp,
                setup=functools.partial(be_one_of, rank, port, environ),
                **changes,
            )
            for rank, environ in enumerate(environs)
        ]
        commands.extend(started)
        return started

    yield start
    for command in commands:
        if command.process.is_alive():
            command.send(signal.SIGKILL)


def load(path):
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    "environ, expected",
    [
        ({}, None),
        (TORCHRUN, Launcher("torchrun", 1, 2)),
        ({**SLURM, **TORCHRUN}, Launcher("torchrun", 1, 2)),  # torchrun in a SLURM job
        (SLURM, Launcher("srun", 2, 1)),
        ({**SLURM, "SLURM_NTASKS": "1"}, None),  # the run starts its own processes
        ({**SLURM, "SLURM_JOB_NAME": "interactive"}, None),
    ],
)
def test_launchers_are_recognised(environ, expected):
    assert find_launcher(environ) == expected


@pytest.mark.parametrize(
    "environ, devices, num_nodes, message",
    [
        ({}, "cpu", 2, "num_nodes: 2, but this run is on 1; start it on each node with torchrun"),
        (TORCHRUN, "cpu", 2, "num_nodes: 2, but torchrun has started on 1; set num_nodes to 1"),
        (SLURM, "cpu", 1, "num_nodes: 1, but srun has started on 2; set num_nodes to 2"),
        (TORCHRUN, "cpu:3", 1, "devices: 'cpu:3', but torchrun has started 2 processes on each"),
        ({"SLURM_NTASKS": "2"}, "cpu", 1, "this SLURM job has 2 tasks, but srun has not started"),
        (
            {"SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"},
            "cpu",
            1,
            "give --ntasks-per-node in place of --ntasks",
        ),
    ],
)
def test_processes_that_do_not_fit_are_one_line(monkeypatch, environ, devices, num_nodes, message):
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(InputError, match=message):
        place(devices, "32-true", num_nodes)


def test_all_processes_count(monkeypatch):
    for key, value in SLURM.items():
        monkeypatch.setenv(key, value)
    hardware = place("cpu", "32-true", 2)
    assert (hardware["devices"], hardware["n_devices"], hardware["num_nodes"]) == (1, 2, 2)


def test_a_job_on_two_nodes_saves_and_requeues_itself_at_its_time_limit(start, tmp_path):
    """Two processes as srun starts them; they continue exactly where they were."""
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\n')
    scontrol.chmod(0o755)
    path = {"PATH": f"{scontrol.parent}:{os.environ['PATH']}"}
    tasks = [{**SLURM, **path, "SLURM_PROCID": str(i), "SLURM_NODEID": str(i)} for i in (0, 1)]
    changes = {"num_nodes": 2, "epochs": 60, "epoch_size": 40, "batch_size": 2, "accumulate": 3}
    changes["ema_decay"] = 0.9
    job = start("job", tasks, **changes)
    job[0].wait_for("epoch 1/")
    for task in job:
        task.send(signal.SIGUSR1)
    assert [task.end() for task in job] == [138, 138]
    assert [task.lines[-1] for task in job] == ["time limit", "time limit"]
    assert (tmp_path / "requeued").read_text() == "requeue 123456\n"
    state = load(tmp_path / "job/checkpoints/last.ckpt")
    changes["epochs"] = state["position"]["epochs"] + 2
    assert [task.end() for task in start("job", tasks, "again", **changes)] == [0, 0]
    assert [task.end() for task in start("whole", tasks, **changes)] == [0, 0]
    a, b = (load(tmp_path / exp / "checkpoints/last.ckpt") for exp in ("job", "whole"))
    for key, weight in a["state_dict"].items():
        assert torch.equal(weight, b["state_dict"][key]), key
    assert a["metrics"] == b["metrics"]


def test_a_process_that_dies_ends_the_others_with_one_line(start):
    tasks = [{**TORCHRUN, "LOCAL_RANK": str(i), "RANK": str(i)} for i in (0, 1)]
    first, second = start("exp", tasks, epochs=500)
    first.wait_for("epoch 1/")
    second.process.kill()
    assert first.end(seconds=60) == 1
    *epochs, line = first.lines
    assert line.startswith("error: devices: another process of this run has ended")
    assert all(epoch.startswith("epoch ") for epoch in epochs)


@pytest.fixture(scope="module")
def one(data_dir, tmp_path_factory):
    """The weights after two epochs of one process with batches twice as large."""
    exp_dir = tmp_path_factory.mktemp("exp")
    return load(tiny.run(data_dir, exp_dir, **{**SHARED, "batch_size": 4}))["state_dict"]


def assert_equals(one, exp_dir):
    for key, weight in load(exp_dir / "best_model.pth")["state_dict"].items():
        if key != "norm.running_var":  # within halves of a batch it is another one
            torch.testing.assert_close(one[key], weight, atol=1e-6, rtol=1e-5)


def test_processes_that_share_a_model_train_and_continue_as_one(start, one, tmp_path):
    tasks = [{**TORCHRUN, "LOCAL_RANK": str(i), "RANK": str(i)} for i in (0, 1)]
    for name, epochs in (("", 1), ("again", 2)):
        changes = {**SHARED, "epochs": epochs, "strategy": "fsdp"}
        assert [task.end() for task in start("exp", tasks, name, **changes)] == [0, 0]
    assert_equals(one, tmp_path / "exp")


def test_torchrun_starts_two_processes_on_a_cpu(data_dir, one, tmp_path):
    """Together they do exactly what one process does with batches twice as large."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--master_port", str(free_port()), tiny.__file__, data_dir, tmp_path / "two", "cpu"]
    env = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    command += [json.dumps(SHARED)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1/2") == 1
    assert_equals(one, tmp_path / "two")
