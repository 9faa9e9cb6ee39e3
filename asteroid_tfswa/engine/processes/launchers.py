"""Where the processes of a run are: started by torchrun, by SLURM's srun, or by the run itself."""

import dataclasses
import os

from asteroid_tfswa.devices import choose_devices, count_gpus
from asteroid_tfswa.errors import InputError


@dataclasses.dataclass
class Launcher:
    """What has started the processes of this run, one for each device.

    Attributes:
        name (str): "torchrun" or "srun".
        n_nodes (int): machines.
        per_node (int): processes on each of them.
    """

    name: str
    n_nodes: int
    per_node: int


def find_launcher(environ=os.environ):
    """Find out whether a launcher has started this process as one of several.

    Args:
        environ (dict): environment variables. Default: the process's own.

    Returns:
        Launcher or None: None if this process is alone, as in a SLURM job with one task.

    Raises:
        InputError: in a SLURM job with several tasks, if srun has not started this process, which
            would wait for the others, or Lightning cannot know on which nodes they are.
    """
    if "TORCHELASTIC_RUN_ID" in environ:
        n_nodes, per_node = environ.get("GROUP_WORLD_SIZE", 1), environ["LOCAL_WORLD_SIZE"]
        return Launcher("torchrun", int(n_nodes), int(per_node))
    n_tasks = int(environ.get("SLURM_NTASKS", 1))
    if n_tasks == 1 or environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return None
    if "SLURM_STEP_ID" not in environ:
        raise InputError(
            f"devices: this SLURM job has {n_tasks} tasks, but srun has not started this process; "
            "use local/slurm.sh, or a job with one task per node"
        )
    if "SLURM_NTASKS_PER_NODE" not in environ:
        raise InputError(
            f"devices: this SLURM job has {n_tasks} tasks, but does not say how many are on a "
            "node; give --ntasks-per-node in place of --ntasks"
        )
    n_nodes = int(environ.get("SLURM_NNODES", 1))
    return Launcher("srun", n_nodes, n_tasks // n_nodes)


def place(devices, precision, num_nodes=1):
    """Decide which devices the processes of a run use.

    Args:
        devices (str): see `train`; those of each node.
        precision (str): one of PRECISIONS.
        num_nodes (int): machines. Default 1.

    Returns:
        dict: of `choose_devices`, with "n_devices" of all nodes, "num_nodes" and "launcher"
        (`Launcher` or None).

    Raises:
        InputError: as `choose_devices`, or if the launcher has started other processes than
            `devices` and `num_nodes` need.
    """
    hardware, launcher = choose_devices(devices, precision), find_launcher()
    n_nodes = launcher.n_nodes if launcher else 1
    if num_nodes != n_nodes:
        remedy = (
            f"set num_nodes to {n_nodes}"
            if launcher
            else "start it on each node with torchrun, or with srun (local/slurm.sh)"
        )
        started = f"{launcher.name} has started" if launcher else "this run is"
        raise InputError(f"num_nodes: {num_nodes}, but {started} on {n_nodes}; {remedy}")
    if launcher:
        per_node = launcher.per_node
        if hardware["accelerator"] == "cpu" and devices in ("", "cpu"):
            hardware |= {"devices": per_node, "n_devices": per_node}
        if hardware["n_devices"] != per_node:
            found = f"'{devices}'" if devices else f"{count_gpus()} visible GPUs"
            raise InputError(
                f"devices: {found}, but {launcher.name} has started {per_node} processes on each "
                "node; start one for each device, and let each process see all GPUs of its node"
            )
    n_devices = hardware["n_devices"] * n_nodes
    return {**hardware, "n_devices": n_devices, "num_nodes": n_nodes, "launcher": launcher}
