"""The command ``asteroid-tfswa``, and how every command of the project ends.

Imports only the standard library: Ctrl-C, SIGTERM and broken packages end in one line from the
first moment, and ``doctor`` works where torch does not. Where this module is imported before the
package, the package imports only what is used.
"""

import argparse
import contextlib
import importlib
import multiprocessing
import os
import re
import select
import signal
import sys
import threading
import time

COMMANDS = {
    "separate": "separate songs into their sources",
    "infer": "separate songs, with the arguments of asteroid-infer",
    "score": "score separated stems of any model or tool against the true ones",
    "models": "list the models that ship with the package",
    "info": "show what a model is: sources, network, training data, licence, scores",
    "export": "write a model at half the size, or for TorchScript, torch.export or ONNX",
    "publish": "make a folder of a trained model that is ready for a hub",
    "check-data": "look through a data set before training on it",
    "plan": "measure what a training run will need: memory, time, disk",
    "recipe": "copy the training recipe to a folder",
    "compare": "compare runs: intervals, differences song by song, published results",
    "doctor": "show what works on this machine and what does not, with the remedy",
}
WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGUSR1: "time limit",
    signal.SIGUSR2: "time limit",
}


class _State:
    """State of the signal handler."""

    process = None  # id of the process that runs the command
    received = None  # signal that asked it to end
    since = 0.0  # when, in seconds
    at_once = False  # nothing needs cleaning up


def main(argv=None):
    """Run ``asteroid-tfswa``.

    Args:
        argv (list of str, optional): name of the command and its arguments. Defaults to those of
            the process.
    """
    argv = sys.argv[1:] if argv is None else argv
    run_command(lambda: _dispatch(argv))


def run_command(function):
    """Call a function as a command: only bugs end in a traceback.

    User errors, full disks and full memory end it with one line on stderr and status 1, Ctrl-C with
    "interrupted" and 130, SIGTERM with "terminated" and 143. Where SIGUSR1 or SIGUSR2 announces a
    time limit, it ends with "time limit" and 138 or 140. A closed pipe on stdout (``| head``) ends
    it silently with 141.

    Args:
        function (callable): the command, without arguments. It imports packages in `importing`.
    """
    _open_what_is_closed()
    _State.process, _State.received, _State.at_once = os.getpid(), None, False
    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, _stop)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as by nohup
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, _stop)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names that are not UTF-8
    try:
        function()
        sys.stdout.flush()
    except BaseException as err:
        status, line = _ending(err)
        if status is None:
            raise
        if status == 141:  # or Python complains when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if line:
            print(line, file=sys.stderr, flush=True)
        if status > 128:
            previous, _State.at_once = {}, True
        sys.exit(status)
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _open_what_is_closed():
    """Open the null device where stdin, stdout or stderr is closed, as after ``>&-``.

    Otherwise the next files that are opened would take their places, here and in ffmpeg.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


@contextlib.contextmanager
def importing():
    """Import packages in this block: Ctrl-C and SIGTERM end the process at once, without traceback.

    Imports are slow, and packages may swallow or change an exception raised during one. A missing
    or broken package ends the command in one line.
    """
    before, _State.at_once = _State.at_once, True
    try:
        yield
    except Exception as err:  # a broken package can raise anything
        kind = "" if isinstance(err, ImportError) else f"{type(err).__name__}: "
        raise _CannotImport(f"{kind}{err}; see asteroid-tfswa doctor") from err
    finally:
        _State.at_once = before


def end_with_parent():
    """End this process, a worker, when the one that started it ends: killed, it can stop nobody."""

    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _stop(signum, frame):
    """Handle SIGINT and SIGTERM."""
    if os.getpid() != _State.process:
        raise SystemExit(128 + signum)  # a worker: the process that started it prints the line
    repeated, since = _State.received is not None, time.monotonic() - _State.since
    if repeated and (signum == signal.SIGTERM or since < 1):
        return  # the same signal, sent to the group and by run.sh; clean-up has begun
    _State.received, _State.since = signum, time.monotonic()
    if _State.at_once:
        if not repeated:
            print(WORDS[signum], file=sys.stderr, flush=True)
        os._exit(128 + signum)
    errors = sys.modules.get("asteroid_tfswa.errors")
    raise errors.Terminated if errors and signum == signal.SIGTERM else KeyboardInterrupt


def _ending(err):
    """Exit status and line for what a command raised; status None for a bug."""
    of_user = _is_input_error(err) or isinstance(err, (OSError, _CannotImport))
    of_user = of_user and not _is_closed_pipe(err)
    if _State.received or isinstance(err, KeyboardInterrupt):
        signum = _State.received or getattr(err, "signum", signal.SIGINT)
        return 128 + signum, WORDS[signum] + (f": {_text(err)}" if of_user else "")
    if _is_closed_pipe(err):
        return 141, ""
    if of_user:
        return 1, f"error: {_text(err)}"
    if _is_out_of_memory(err):
        reason = (str(err).splitlines() or ["no memory left"])[0][:200]
        return 1, f"error: out of memory ({reason}); close other programs or ask for less"
    return None, ""


class _CannotImport(Exception):
    """A package is missing or broken."""


def _text(err):
    """The message on one line; control characters, of a file's name for example, are escaped."""
    text = str(err)
    if isinstance(err, OSError) and err.strerror:
        text = f"{err.filename}: {err.strerror}" if err.filename else err.strerror
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], text)


def _is_input_error(err):
    errors = sys.modules.get("asteroid_tfswa.errors")  # not imported, not raised
    return errors is not None and isinstance(err, errors.InputError)


def _is_out_of_memory(err):
    machine = sys.modules.get("asteroid_tfswa.machine")
    return isinstance(err, MemoryError) or bool(machine and machine.is_out_of_memory(err))


def _is_closed_pipe(err):
    """Whether nobody reads stdout any more, as after ``| head``."""
    if isinstance(err, BrokenPipeError):
        with contextlib.suppress(OSError, ValueError):
            poll = select.poll()
            poll.register(sys.stdout.fileno(), 0)
            return any(event & select.POLLERR for _, event in poll.poll(0))
    return False


def _dispatch(argv):
    parser = argparse.ArgumentParser(
        prog="asteroid-tfswa", description="Music source separation.", allow_abbrev=False
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, allow_abbrev=False)
        if argv[:1] == [name]:  # the others need not be imported
            module = _load_command(name)
            command.description = module.__doc__
            command.formatter_class = argparse.RawDescriptionHelpFormatter
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    args.run(args)


class _Version(argparse.Action):
    def __call__(self, parser, *args):
        with importing():
            from asteroid_tfswa import __version__
        print(f"asteroid-tfswa {__version__}")
        parser.exit()


def _load_command(name):
    with importing():
        return importlib.import_module(f"asteroid_tfswa.cli.{name.replace('-', '_')}")
