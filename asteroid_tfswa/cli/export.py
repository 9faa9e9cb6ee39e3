"""Write a model at half the size for sharing, or its network for other programs.

The network takes magnitudes of a spectrogram to masks; the text "model.json" inside the file says
what to do around it. With --waveform the file holds the STFT and its inverse too: a chunk of audio
in, its stems out. The file appears only if its output agrees with the model's.

formats:
  half          a model file as before, with float16 weights
  torchscript   for torch.jit.load, in Python and C++
  torch_export  for torch.export.load; takes a few minutes
  onnx          for ONNX Runtime and others; takes a few minutes, and needs asteroid-tfswa[onnx]
"""

from pathlib import Path

from asteroid_tfswa.files import require_file_name
from asteroid_tfswa.models.export import FORMATS, export_model
from asteroid_tfswa.separate.stream import SEGMENT, SEGMENTS


def add_arguments(parser):
    """Add the command's arguments to an `argparse.ArgumentParser`."""
    parser.add_argument("model", metavar="MODEL", help="model file, or folder of a training run")
    parser.add_argument("out", metavar="OUT", help="file to write")
    parser.add_argument(
        "--format", choices=FORMATS, default="half", help="see above (default: %(default)s)"
    )
    parser.add_argument(
        "--waveform",
        action="store_true",
        help="with --format onnx: waveforms in and out, in chunks of one length",
    )
    parser.add_argument(
        "--segment",
        type=float,
        default=SEGMENT,
        metavar="SECONDS",
        help=f"with --waveform: length of a chunk, {SEGMENTS[0]:g} to {SEGMENTS[1]:g}; shorter "
        f"ones need less memory (default: {SEGMENT:g})",
    )


def run(args):
    """Export, and report how well the masks agree."""
    require_file_name(Path(args.out))
    difference = export_model(args.model, args.out, args.format, args.waveform, args.segment)
    outputs = "sources" if args.waveform else "masks"
    print(f"{args.out}: written, and its {outputs} agree with the model's to {difference:.1g}")
