"""Score separated stems of any model or tool against the true ones.

Both folders hold <song>/<stem>.wav or .flac, or the stems of one song. Where the references have
mixture.wav, baselines and oracles are scored beside the estimates. What cannot be scored is named
and the rest is scored; estimates up to 0.1 s too short or long are padded or cut.

cSDR is the median of BSS Eval v4's SDR over the frames of one second, then over songs; published
MUSDB18 results are cSDR. SIR, ISR and SAR are such medians too, the frame mean is over the same
frames. uSDR is energy of the reference over energy of the error of a whole song. SI-SDR is uSDR
after the reference was scaled to fit the estimate best.
"""

import sys
from pathlib import Path

from asteroid_tfswa.devices import choose_device
from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.files import remove_leftovers
from asteroid_tfswa.locks import locked
from asteroid_tfswa.scores.card import check_results, make_card, write_results
from asteroid_tfswa.scores.folders import match_songs
from asteroid_tfswa.scores.jobs import ScoreOptions, evaluate_songs
from asteroid_tfswa.scores.names import digest_of, state_of
from asteroid_tfswa.scores.song import SCORERS
from asteroid_tfswa.scores.tables import format_table, summarise


def add_arguments(parser):
    """Add the command's arguments to an `argparse.ArgumentParser`."""
    parser.add_argument("--reference", required=True, metavar="DIR", help="the true stems")
    parser.add_argument("--estimates", required=True, metavar="DIR", help="the separated stems")
    parser.add_argument(
        "-o", "--output-dir", default="scores", metavar="DIR", help="results (default: scores)"
    )
    parser.add_argument(
        "--scorer",
        choices=SCORERS,
        default="fast",
        help="fast, or museval itself, which is ten times slower (default: fast)",
    )
    parser.add_argument(
        "--device",
        default="auto",
        help="where the fast scorer computes: auto, cpu, cuda or cuda:1 (default: auto)",
    )
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="songs at once (default: one per core)"
    )


def run(args):
    """Run the command."""
    if args.jobs < 0:
        raise InputError(f"--jobs must be 0 (one per core) or more: got {args.jobs}")
    jobs, notes = match_songs(args.reference, args.estimates)
    device = choose_device(args.device)
    options = ScoreOptions(args.scorer, device="cpu" if device.type == "mps" else str(device))
    out = Path(args.output_dir)
    with locked(out):
        check_results(out, [job.name for job in jobs])
        for folder in ("songs", "baselines"):
            (out / folder).mkdir(exist_ok=True)
            remove_leftovers(out / folder)
        songs, failed = evaluate_songs(
            jobs, out / "songs", out / "baselines", options, args.jobs or None
        )
        stems = sorted({stem for song in songs for stem in song["scores"]["model"]["uSDR"]})
        summary = summarise(songs, stems)
        states = [[job.name, state_of(list(job.references.values()))] for job in jobs]
        data = {"name": Path(args.reference).absolute().name, "fingerprint": digest_of(states)}
        failed = [*notes, *failed]
        write_results(
            out, songs, summary, make_card(songs, failed, summary, options.describe(), data)
        )
    print(format_table(summary))
    if failed:
        lines = [f"{len(failed)} could not be scored:", *map(one_line, failed)]
        print(*lines, sep="\n  ", file=sys.stderr)
        sys.exit(1)
