"""Load files of `torch.save` safely, and only if they are intact."""

import os
import pickle
import warnings
import zipfile
import zlib

import torch

from asteroid_tfswa.errors import InputError

ZIP_MAGIC = b"PK\x03\x04"


def load_torch_file(path, remedy="copy it again"):
    """Load what `torch.save` wrote, on the CPU, without running any code of the file.

    Files of torch 1.6 and later carry a checksum of each part. It is verified here; torch does not.
    Older files have none.

    Args:
        path (str or Path): the file.
        remedy (str): what to do if it cannot be used; ends the message.
            Default ``"copy it again"``.

    Returns:
        What was saved: tensors, and plain values and containers.

    Raises:
        InputError: if it is not a file, is damaged, or holds anything but tensors and plain values.
        OSError: if it cannot be opened.
    """
    if not os.path.isfile(path):
        kind = "a folder or a device, not a file" if os.path.exists(path) else "not found"
        raise InputError(f"{path} is {kind}; check the path")
    with open(path, "rb") as file:
        try:
            if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
                _check_intact(file)
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # hints at formats, for developers
                # Asteroid's models store torch's version as it is, a string with a method more.
                with torch.serialization.safe_globals([torch.torch_version.TorchVersion]):
                    return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as err:
            raise InputError(
                f"{path} cannot be loaded safely: it is not a checkpoint, or holds more than "
                f"tensors and plain values; {remedy}"
            ) from err
        except Exception as err:  # damaged data: IndexError, struct.error, OSError and many more
            raise InputError(f"{path} is damaged or not a checkpoint; {remedy}") from err


def _check_intact(file):
    """Compare the parts of an archive with their checksums."""
    with zipfile.ZipFile(file) as archive:
        # torch stores its parts as they are; others could be encrypted, or unpack to terabytes.
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise zipfile.BadZipFile("compressed parts")
        damaged = archive.testzip()
    if damaged is not None:
        raise zlib.error(f"checksum of {damaged}")
