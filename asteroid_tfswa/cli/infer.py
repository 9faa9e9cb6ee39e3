"""Separate files with the arguments and file names of asteroid-infer.

Stems are written as <file>_est1.wav, <file>_est2.wav ... beside the file or in --output-dir, in
32-bit float. Unlike asteroid-infer, all channels are separated, levels are kept, and long files
need no more memory than short ones. "asteroid-tfswa separate" can do more.
"""

import os
import sys

from asteroid_tfswa.cli.warning_lines import warnings_in_lines
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.models.base import MusicModel
from asteroid_tfswa.separate import choose_device, find_songs
from asteroid_tfswa.separate.song import estimate_paths
from asteroid_tfswa.separate.songs import FAILURES, Report, name_all
from asteroid_tfswa.separate.stream import OVERLAP, SEGMENT, SEGMENTS


def add_arguments(parser):
    """Add the arguments of the command to an `argparse.ArgumentParser`."""
    parser.add_argument("url_or_path", help="model file, or name of a model on a hub")
    parser.add_argument(
        "--files", nargs="+", required=True, help="files, folders and patterns to separate"
    )
    parser.add_argument(
        "-f", "--force-overwrite", action="store_true", help="overwrite existing files"
    )
    parser.add_argument(
        "-r", "--resample", action="store_true", help="resample files of other sample rates"
    )
    parser.add_argument(
        "-w",
        "--ola-window",
        type=int,
        metavar="SAMPLES",
        help=f"length of the chunks, {SEGMENTS[0]:g} to {SEGMENTS[1]:g} seconds "
        f"(default: {SEGMENT:g} seconds)",
    )
    parser.add_argument(
        "--ola-hop",
        type=int,
        metavar="SAMPLES",
        help="hop from one chunk to the next, at least half of --ola-window (default: half of it)",
    )
    parser.add_argument(
        "--ola-window-type", default="hanning", help="accepted without effect: fades are linear"
    )
    parser.add_argument(
        "--ola-no-reorder",
        action="store_true",
        help="accepted without effect: sources never change places",
    )
    parser.add_argument("-o", "--output-dir", metavar="DIR", help="default: beside each file")
    parser.add_argument(
        "-d", "--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: auto)"
    )


def run(args):
    """Run the command."""
    model = MusicModel.from_pretrained(args.url_or_path).to(choose_device(args.device)).eval()
    chunking = _chunking(args, model.sample_rate)
    songs, problems = find_songs(args.files)
    report = Report()
    for given, reason in problems:
        report.fail(given, reason)
    with warnings_in_lines():
        for song in _nameable(model, songs, args, report):
            try:
                model.file_separate(
                    song, args.output_dir, args.force_overwrite, args.resample, **chunking
                )
            except FAILURES as err:
                report.fail(song, err)
    if report.failed:
        sys.exit(1)


def _nameable(model, songs, args, report):
    """The songs whose files replace no input and no other song's; report the rest."""

    def name(song, folder):
        return estimate_paths(model, song, args.output_dir)

    def remedy(song, other):
        return "write it to another output folder (--output-dir)"

    tasks = name_all(songs, args.files, name, report, remedy)
    made = {os.path.realpath(path): song for song in songs for path in name(song, None)}
    for song in list(tasks):
        if maker := made.get(os.path.realpath(song)):
            report.fail(song, f"is also the file for a stem of {maker}; name only one of them")
            del tasks[song]
    return tasks


def _chunking(args, sample_rate):
    """Options of `separate_blocks` for a window and a hop in samples."""
    if args.ola_window is None and args.ola_hop is None:
        return {"segment": SEGMENT, "overlap": OVERLAP}
    shortest, default, longest = (
        round(seconds * sample_rate) for seconds in (SEGMENTS[0], SEGMENT, SEGMENTS[1])
    )
    window = default if args.ola_window is None else args.ola_window
    if not shortest <= window <= longest:
        raise InputError(
            f"--ola-window must be between {shortest} and {longest} samples: got {window}"
        )
    hop = (window + 1) // 2 if args.ola_hop is None else args.ola_hop
    if not window <= 2 * hop <= 2 * window:
        raise InputError(
            f"--ola-hop must be between half of --ola-window, {window}, and all of it: got {hop}"
        )
    return {"segment": window / sample_rate, "overlap": 1 - hop / window}
