"""Separate songs into stems.

FILES are files, folders (searched with their subfolders) and patterns, of any format that soundfile
or ffmpeg reads. Stems have the sample rate, the channels, the length and the level of their song.
Songs whose stems all exist are skipped. Put names that begin with a dash after "--".

With "-" as the only file, audio is read from standard input and the stems are written to standard
output as they are ready: 32-bit float or 16-bit samples at the model's rate, the channels of one
stem, as many as the input has, after those of the other, as WAV or (--format raw) alone. --latency
bounds how long they wait.

Without --model, the model "small" separates, which ships with the package. A model file or the
folder of a training run may also stand before FILES.

Files with more channels than the model takes are separated in groups of neighbouring channels. With
a stereo model these are the first two channels, the next two, and so on; a last single one is mono.
"""

import argparse
import os
import sys
from pathlib import Path

from asteroid_tfswa.audio.write import DEFAULT_BITS, AudioFormat
from asteroid_tfswa.cli.warning_lines import warnings_in_lines
from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.locks import locked
from asteroid_tfswa.models.base import MusicModel
from asteroid_tfswa.models.loading import HUB_NAME, MODEL_SUFFIXES, find_in_folder
from asteroid_tfswa.models.shipped import DEFAULT, default_model
from asteroid_tfswa.page import PageSong, check_megabytes, check_page_folder, write_page
from asteroid_tfswa.separate import choose_device, separate_files
from asteroid_tfswa.separate.find import AUDIO_NAME
from asteroid_tfswa.separate.live import BITS, FORMATS, separate_pipe
from asteroid_tfswa.separate.names import OUTPUT
from asteroid_tfswa.separate.runner import PRECISIONS
from asteroid_tfswa.separate.songs import MAX_JOBS
from asteroid_tfswa.separate.stems import CLIPS
from asteroid_tfswa.separate.stream import MAX_BATCH_SIZE, MAX_SHIFTS, OVERLAP, SEGMENT, SEGMENTS

# Options that do nothing for standard input.
OF_FILES = ("track", "output_dir", "output", "two_stems", "mixture_consistency", "clip", "page")
OF_FILES += ("page_megabytes", "overwrite", "jobs")


def add_arguments(parser):
    """Add the arguments of the command to an `argparse.ArgumentParser`."""
    parser.add_argument("files", metavar="FILES", nargs="*", help="what to separate")
    _allow_options_between_files(parser)
    parser.add_argument(
        "-m",
        "--model",
        metavar="MODEL",
        help="model file, folder of a training run, name of a model that ships with the package or "
        f"on a hub (default: {DEFAULT})",
    )
    parser.add_argument(
        "--track",
        type=int,
        metavar="N",
        help="audio track to separate in files that have several, from 1 (default: the one that "
        "players choose; in a stem.mp4 the mixture)",
    )

    _add_output(parser.add_argument_group("output"))
    _add_computing(parser.add_argument_group("computing"))


def _add_output(group):
    group.add_argument(
        "-o", "--output-dir", default="separated", metavar="DIR", help="folder (default: separated)"
    )
    group.add_argument(
        "--output",
        default=OUTPUT,
        metavar="NAME",
        help="name of each stem in DIR; fields: {song}, the song's name without suffix; {stem}; "
        "{ext}, the suffix of the stem, and {ext_in}, that of the song; {path}, the song's folder "
        "below the one named in FILES; {folder}, the name of the folder that holds the song "
        f"(default: {OUTPUT})",
    )
    group.add_argument(
        "--format",
        choices=[*DEFAULT_BITS, "raw"],
        default="wav",
        help="raw: samples alone, to standard output (default: wav)",
    )
    group.add_argument(
        "--bits",
        type=int,
        choices=(16, 24, 32),
        help="bits of a sample: 16, 24 or 32 (float) for wav (default: 32), 16 or 24 for flac "
        "(default: 24)",
    )
    group.add_argument(
        "--stems", type=_names, metavar="A,B", help="write only these sources (default: all)"
    )
    group.add_argument(
        "--two-stems", metavar="A", help="write this source, and the rest as no_<source>"
    )
    group.add_argument(
        "--mixture-consistency",
        action="store_true",
        help="spread what no source contains over all of them, so that they add up to the song",
    )
    group.add_argument(
        "--clip",
        choices=CLIPS,
        default="rescale",
        help="where stems would clip in the format: rescale lowers all stems of the song alike, "
        "clamp cuts off what is too loud, none leaves it to the format (default: rescale)",
    )
    group.add_argument(
        "--page",
        action="store_true",
        help="also write DIR/page/index.html, to hear and mix the stems in a browser",
    )
    group.add_argument(
        "--page-megabytes",
        type=float,
        default=200,
        metavar="MB",
        help="largest size of the page; songs that do not fit are shortened (default: 200)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace stems that exist")


def _add_computing(group):
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: auto)"
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="bf16 is faster where the GPU or CPU has it, and less exact; auto is bf16 there, "
        "else 32 (default: auto)",
    )
    group.add_argument(
        "--segment",
        type=float,
        default=SEGMENT,
        metavar="SECONDS",
        help=f"length of the chunks, {SEGMENTS[0]:g} to {SEGMENTS[1]:g}; shorter ones need less "
        f"memory (default: {SEGMENT:g})",
    )
    group.add_argument(
        "--overlap",
        type=float,
        default=OVERLAP,
        metavar="SHARE",
        help=f"how much of a chunk overlaps the next, 0 to 0.5 (default: {OVERLAP})",
    )
    group.add_argument(
        "--batch",
        type=int,
        default=1,
        metavar="N",
        help=f"chunks at once, 1 to {MAX_BATCH_SIZE} (default: 1)",
    )
    group.add_argument(
        "--shifts",
        type=int,
        default=1,
        metavar="N",
        help="average N passes whose chunks begin at different places, which takes N times as "
        f"long; 1 to {MAX_SHIFTS} (default: 1)",
    )
    group.add_argument(
        "--latency",
        type=float,
        metavar="SECONDS",
        help="bound on the algorithmic latency, at most --segment: sources are ready once so much "
        "audio after them was read; the rest of a segment is past audio, computed again "
        "(default: that of --segment)",
    )
    group.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help=f"songs at once, 1 to {MAX_JOBS} (default: 1)",
    )


def run(args):
    """Run the command."""
    check_megabytes(args.page_megabytes)
    is_pipe = _is_pipe(args)
    page = Path(args.output_dir, "page") if args.page else None
    if page:
        check_page_folder(page)
    form = None if is_pipe else AudioFormat(args.format, args.bits)
    chosen, files = _model_and_files(args)
    model = MusicModel.from_pretrained(chosen).to(choose_device(args.device)).eval()
    options = {
        "segment": args.segment,
        "overlap": args.overlap,
        "batch_size": args.batch,
        "shifts": args.shifts,
        "precision": args.precision,
        "latency": args.latency,
    }
    if is_pipe:
        source, sink = sys.stdin.buffer, sys.stdout.buffer
        with warnings_in_lines():
            separate_pipe(model, source, sink, args.stems, args.format, args.bits or 32, **options)
        return
    with warnings_in_lines():
        report = separate_files(
            model,
            files,
            args.output_dir,
            args.output,
            overwrite=args.overwrite,
            n_jobs=args.jobs,
            track=args.track,
            stems=args.stems,
            two_stems=args.two_stems,
            mixture_consistency=args.mixture_consistency,
            form=form,
            clip=args.clip,
            taken=page,
            **options,
        )
    parts = [f"{len(report.done)} separated to {one_line(args.output_dir)}"]
    if report.skipped:
        parts.append(f"{len(report.skipped)} skipped (their stems exist; see --overwrite)")
    if report.failed:
        parts.append(f"{len(report.failed)} failed:")
    print(", ".join(parts), *report.failed, sep="\n  ", file=sys.stderr)
    if page and report.stems:
        print(f"Page: {one_line(_write_page(page, report, args))}", file=sys.stderr)
    if report.failed:
        sys.exit(1)


def _allow_options_between_files(parser):
    """Make a parser take files on both sides of options, which argparse alone does not."""
    plain = parser.parse_known_args

    def parse(args, namespace=None):
        end = args.index("--") if "--" in args else len(args)
        namespace, others = plain(args[:end], namespace)
        unknown = [arg for arg in others if arg.startswith("-") and arg != "-"]
        namespace.files += [arg for arg in others if arg not in unknown] + args[end + 1 :]
        if not (namespace.files or unknown):
            parser.error("the following arguments are required: FILES")
        return namespace, unknown

    parser.parse_known_args = parse


def _is_pipe(args):
    """Whether to separate standard input; refuse what a pipe cannot have."""
    if "-" not in args.files:
        if args.format == "raw":
            raise InputError("--format: raw is for standard output; give - as the file, or use wav")
        return False
    if args.files[-1] != "-" or args.files.count("-") > 1 or len(_model_and_files(args)[1]) > 1:
        raise InputError("FILES: - (standard input) is separated alone; name no other files")
    if args.format not in FORMATS or args.bits not in (None, *BITS):
        raise InputError("--format: with - it is wav or raw, with --bits 16 or 32")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for name in OF_FILES:
        if getattr(args, name) != parser.get_default(name):
            option = "--" + name.replace("_", "-")
            raise InputError(f"{option}: standard input cannot be separated with it; leave it out")
    if sys.stdout.isatty():
        raise InputError("-: audio is not written to a terminal; send it to a pipe or a file")
    return True


def _model_and_files(args):
    """Which model to load, and the files; a model may be the first of them."""
    first, rest = args.files[0], args.files[1:]
    if args.model is not None:
        return args.model, args.files
    is_run = os.path.isdir(first) and find_in_folder(first) is not None
    if is_run or first.lower().endswith(MODEL_SUFFIXES):
        if not rest:
            raise InputError(f"FILES: {first} is a model; name what to separate after it")
        return first, rest
    is_pattern = not {*"*?["}.isdisjoint(first)
    is_name = HUB_NAME.fullmatch(first) and not AUDIO_NAME.fullmatch(first) and not is_pattern
    is_name = is_name and first != "-"
    is_address = first.startswith(("http://", "https://"))
    if is_address or (is_name and not os.path.lexists(first)):
        raise InputError(f"FILES: {first} is no file here; if it is a model: --model {first}")
    return default_model(), args.files


def _write_page(folder, report, args):
    hop = args.segment * (1 - args.overlap)  # seconds
    songs = [
        PageSong(song.name, song, stems, hop=hop, overlap=args.segment - hop, track=args.track)
        for song, stems in sorted(report.stems.items())
    ]
    with locked(folder.parent):
        return write_page(folder, "Separated songs", songs, megabytes=args.page_megabytes)


def _names(text):
    return [name.strip() for name in text.split(",")]
