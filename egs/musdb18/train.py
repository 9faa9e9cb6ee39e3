"""Stage 1: train TFSWA-UNet on prepared songs."""

import argparse
from pathlib import Path

from asteroid_tfswa_cli import importing, run_command

RECIPE = Path(__file__).resolve().parent


def main():
    """Build the model that the configuration describes, and train it."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data_dir", required=True, help="prepared songs, of stage 0")
    parser.add_argument(
        "--musdb18_dir", default="", help="the songs they must be made of, if given"
    )
    parser.add_argument("--exp_dir", required=True, help="where checkpoints and logs go")
    parser.add_argument("--id", default="", help='GPUs, "0" or "0,1", or cpu (default: all GPUs)')
    with importing():
        from asteroid_tfswa.config import parse_command, read_yaml
    args, conf = parse_command(parser, RECIPE / "local/conf.yml", derive=_start_network)

    with importing():
        from asteroid_tfswa.data.prepare import check_source
        from asteroid_tfswa.data.songs import read_prepared
    if args.musdb18_dir:
        check_source(args.data_dir, args.musdb18_dir)
    data, defaults = read_prepared(args.data_dir), read_yaml(RECIPE / "local/conf.yml")

    with importing():  # slow: not before the data was found
        import torch
        from pytorch_lightning.utilities import rank_zero_only

        from asteroid_tfswa import TFSWAUNet
        from asteroid_tfswa.engine.train import train
        from asteroid_tfswa.models.loading import model_args
    torch.manual_seed(conf["training"]["seed"])
    model = TFSWAUNet(**model_args(conf))
    path = train(model, data, conf, args.exp_dir, devices=args.id, defaults=defaults)
    if rank_zero_only.rank == 0:
        print(f"Best model: {path}")


def _start_network(args, conf):
    """The network of the model that `init_from` names, for keys that the user does not name."""
    if not conf["init_from"]:
        return {}  # without the time of the import
    with importing():
        from asteroid_tfswa.engine.weights import start_network
    return start_network(conf, args.exp_dir)


if __name__ == "__main__":
    run_command(main)
