"""What the contribution adds to files that Asteroid already has."""

from dataclasses import dataclass
from pathlib import Path

from asteroid_tfswa.errors import InputError

ADDITIONS = Path(__file__).resolve().parent / "additions"


@dataclass
class Addition:
    """Text that goes into a file of Asteroid's, next to a line that is there once.

    Attributes:
        path (str): file in the checkout.
        text (str): whole lines to add.
        before (str): lines that follow the text; empty for the end of the file.
    """

    path: str
    text: str
    before: str = ""


def added(name):
    """Return the text of `additions/<name>.in`."""
    return (ADDITIONS / f"{name}.in").read_text(encoding="utf-8")


EDITS = [
    Addition(
        "asteroid/masknn/__init__.py",
        "from .tfswa_unet import TFSWAUNetMasker\n",
        "\n__all__ = [\n",
    ),
    Addition("asteroid/masknn/__init__.py", '    "TFSWAUNetMasker",\n', "]\n"),
    Addition(
        "asteroid/models/__init__.py",
        "from .tfswa_unet import TFSWAUNet\n",
        "from .x_umx import XUMX\n",
    ),
    Addition("asteroid/models/__init__.py", '    "TFSWAUNet",\n', '    "XUMX",\n'),
    Addition("hubconf.py", added("hubconf.py")),
    Addition(
        "tests/models/models_test.py",
        "    TFSWAUNet,\n",
        ")\nfrom asteroid.models.base_models import BaseModel\n",
    ),
    Addition(
        "tests/models/models_test.py",
        added("models_test.py"),
        "def _default_test_model(",
    ),
    Addition("tests/jit/jit_models_test.py", "    TFSWAUNet,\n", ")\n\n\n@torch.no_grad()\n"),
    Addition(
        "tests/jit/jit_models_test.py",
        added("jit_models_test.py"),
        '    }\n    params["DPRNNTasNet_mulcat"] = ',
    ),
    Addition(
        "tests/jit/jit_models_test.py",
        '        "TFSWAUNet",\n',
        '    ),\n)\n@pytest.mark.parametrize(\n    "test_data",\n    (\n        (torch.rand(240)',
    ),
    Addition(
        "docs/source/package_reference/models.rst",
        ".. automodule:: asteroid.models.tfswa_unet\n   :members:\n\n",
        "\n\nPublishing models\n",
    ),
    Addition(
        "docs/source/package_reference/blocks.rst",
        ".. automodule:: asteroid.masknn.tfswa_unet\n   :members:\n\n",
        "Norms\n-----\n",
    ),
    Addition(
        "README.md",
        "* [x] [TFSWA-UNet](./egs/musdb18/TFSWA-UNet) "
        "([Yao et al.](https://doi.org/10.1186/s13634-025-01249-0))\n",
        "* [ ] Open-Unmix (coming)",
    ),
    Addition(
        "CHANGELOG.md",
        "- [src & egs] Add TFSWA-UNet, an attention U-Net for music, and its MUSDB18 recipe\n",
        "### Changed\n### Fixed\n\n\n\n## [0.7.0]",
    ),
]


def apply_edits(checkout):
    """Add the texts to the files of a checkout; what is there already is left as it is.

    Args:
        checkout (Path): Asteroid's repository.

    Returns:
        list of str: the files that changed.

    Raises:
        InputError: if a file cannot take its texts; nothing has been written then.
    """
    contents = {path: _edited(checkout, path) for path in dict.fromkeys(e.path for e in EDITS)}
    changed = []
    for path, content in contents.items():
        if content is not None:
            (checkout / path).write_text(content, encoding="utf-8")
            changed.append(path)
    return changed


def _edited(checkout, path):
    """The new text of a file, or None if it has all texts already."""
    content = (checkout / path).read_text(encoding="utf-8")
    edits = [edit for edit in EDITS if edit.path == path]
    if all(edit.text in content for edit in edits):
        return None
    if "tfswa" in content.lower():
        raise InputError(
            f"{checkout / path} has an earlier version of this change: restore it first, "
            f"with `git checkout {path}` or a branch from master"
        )
    for edit in edits:
        if not edit.before:
            content += edit.text
        elif content.count(edit.before) == 1:
            content = content.replace(edit.before, edit.text + edit.before)
        else:
            raise InputError(
                f"{checkout / path} has {edit.before!r} {content.count(edit.before)} times, where "
                "once is expected: it is not the file of Asteroid's master that this was made for"
            )
    return content
