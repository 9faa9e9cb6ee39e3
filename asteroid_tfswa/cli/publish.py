"""Make a folder of a trained model that is ready for a hub.

It has the model for the Hugging Face hub (pytorch_model.bin) and for Zenodo (model.pth, which
asteroid-upload takes), a model card with the results on the test songs, and the terms of the
training data. Nothing is uploaded; the commands that do it are printed.
"""

import shlex
from pathlib import Path

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.models.publish import publish


def add_arguments(parser):
    """Add the command's arguments to an `argparse.ArgumentParser`."""
    parser.add_argument(
        "model", metavar="RUN", help="folder of a training run with scores, or a model file"
    )
    parser.add_argument("--output", metavar="DIR", help="folder to make (default: RUN/publish_dir)")
    parser.add_argument("--uploader", required=True, metavar="NAME", help="your full name")
    parser.add_argument(
        "--username", required=True, metavar="NAME", help="name of your account on the hub"
    )
    parser.add_argument("--affiliation", default="", metavar="NAME", help="yours")
    parser.add_argument(
        "--license",
        metavar="ID",
        help="of the model, by the hub's name for it (default: cc-by-sa-4.0, or cc-by-nc-sa-4.0 "
        "unless the terms of the training data are known to permit commercial use)",
    )
    terms = parser.add_argument_group("training data (default for MUSDB18: what is known)")
    terms.add_argument("--author", metavar="NAME", help="who made the data set")
    terms.add_argument("--author_link", metavar="URL", help="a page about them")
    terms.add_argument("--title_link", metavar="URL", help="the data set's page")
    terms.add_argument("--license_link", metavar="URL", help="the text of its licence")


def run(args):
    """Make the folder, and say how to upload it."""
    for option in ("uploader", "username"):
        if not getattr(args, option).strip():
            raise InputError(f"--{option} is empty; the model card needs it")
    fields = ("author", "author_link", "title_link", "license_link")
    given = {field: getattr(args, field) for field in fields if getattr(args, field) is not None}
    run_folder = Path(args.model) if Path(args.model).is_dir() else Path(args.model).parent
    out = Path(args.output) if args.output else run_folder / "publish_dir"
    name = publish(
        args.model,
        out,
        args.uploader,
        args.username,
        affiliation=args.affiliation,
        license=args.license,
        **given,
    )
    print(f"{out}: ready. Read README.md there, then upload it:")
    folder, uploader = shlex.quote(str(out)), shlex.quote(args.uploader)
    print(f"  Hugging Face hub:  hf upload {name} {folder}")
    print(f"  Zenodo:            asteroid-upload {folder} --uploader {uploader}")
