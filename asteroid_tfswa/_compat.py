"""Import Asteroid, or report packages that cannot work together in one line, not in a hundred."""

import sys

if "asteroid_tfswa_cli" in sys.modules:
    # Asteroid does without this package where it is missing. It takes a second to import, for a
    # loss that no command uses.
    sys.modules.setdefault("torch_stoi", None)

try:
    import torchaudio  # noqa: F401
    from asteroid import models  # noqa: F401
except Exception as err:  # a broken package can raise anything
    from importlib.metadata import PackageNotFoundError, version

    if getattr(err, "name", None) not in (None, "pkg_resources", "torch", "torchaudio"):
        raise  # another package is missing, which the error names

    def _version(package):
        try:
            return version(package)
        except PackageNotFoundError:
            return "none"

    raise ImportError(
        f"Asteroid cannot be imported with torch {_version('torch')}, torchaudio "
        f"{_version('torchaudio')} and setuptools {_version('setuptools')} ({err}): "
        "pip install 'torch==2.11.*' 'torchaudio==2.11.0' 'setuptools<81'"
    ) from None
