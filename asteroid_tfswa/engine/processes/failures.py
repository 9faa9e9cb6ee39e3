"""Turn errors of a training run into the line that its user reads."""

import re

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.machine import is_out_of_memory

SHARED_MEMORY = re.compile(r"Bus error|shared memory|/torch_\d+_|/dev/shm")
PEER_ENDED = re.compile(r"Connection (closed|reset) by peer|gloo/transport|ncclRemoteError")
WORKER_ENDED = re.compile(r"DataLoader worker \(pid.*?\) (.*)")


def explain(error):
    """Explain an error of the trainer.

    Args:
        error (Exception): what it raised.

    Returns:
        InputError or None: None if the error is a bug.
    """
    if isinstance(error, InputError):
        # A worker of a DataLoader puts its traceback into the message.
        return InputError(str(error).strip().splitlines()[-1].split("InputError: ")[-1])
    text = str(error)
    if SHARED_MEMORY.search(text):
        return InputError(
            "num_workers: the shared memory in /dev/shm is too small for the batches that workers "
            "send; set num_workers to 0, or enlarge it (docker run --shm-size=8g)"
        )
    if "Too many open files" in text or "received 0 items of ancdata" in text:
        return InputError(
            "num_workers: too many open files; lower num_workers, or raise the limit (ulimit -n)"
        )
    if ended := WORKER_ENDED.search(text):
        return InputError(
            f"num_workers: a process that reads data has ended ({ended[1].strip(' .')}), usually "
            "because memory is full; lower num_workers or batch_size"
        )
    if PEER_ENDED.search(text):
        return InputError(
            "devices: another process of this run has ended, and its own message says why; run the "
            "same command again to continue"
        )
    if is_out_of_memory(error):
        reason = text.partition("\n")[0][:200] or type(error).__name__
        return InputError(
            f"batch_size: memory is full ({reason}); lower batch_size (raise accumulate by the "
            "same factor to keep the same steps), segment, valid_segment or num_workers"
        )
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        reason = next(line for line in text.splitlines() if line.strip())
        return InputError(
            f"compile: torch.compile does not work here ({reason.strip()}); set compile to false"
        )
    return None
