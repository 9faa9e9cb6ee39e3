from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="asteroid-tfswa",
    version="0.1.0",
    description="TFSWA-UNet music source separation for Asteroid",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="asteroid-tfswa contributors",
    license_expression="MIT",
    packages=find_packages(include=["asteroid_tfswa", "asteroid_tfswa.*"]),
    package_data={
        "asteroid_tfswa": ["recipe/*.*", "recipe/local/*.*", "recipe/utils/*.*", "pretrained/*"],
        "asteroid_tfswa.freestems": ["archives.yml"],
        "asteroid_tfswa.page": ["static/*"],
        "asteroid_tfswa.scores": ["published.yml"],
    },
    py_modules=["asteroid_tfswa_cli"],  # beside the package, which takes seconds to import
    python_requires=">=3.10,<3.13",  # asteroid's pins have no wheels for 3.13 that import
    install_requires=[
        "torch>=2.11,<2.12",  # the one that torchaudio 2.11.0 is built for
        "torchaudio==2.11.0",  # 2.11.1 asks for a symbol that torch 2.11 does not have
        "asteroid>=0.7,<0.8",  # the versions whose gaps this package closes
        "asteroid-filterbanks==0.4.0",  # base classes of our filterbank
        "pytorch-lightning>=2.5,<3",  # 2.x is what asteroid 0.7 trains with; 2.5 loads safely
        "setuptools<81",  # the torchmetrics that asteroid pins imports pkg_resources
        "requests",  # asteroid imports it without declaring it
        "numpy",
        "soundfile>=0.13",  # the first with a libsndfile that reads mp3 and opus well
        "mutagen",  # tags and covers of the songs for their stems
        "soxr",  # resamples songs of other sample rates than the model's
        "pillow",  # spectrograms of the page to listen to
        "scipy>=1.10",  # which files of a song add up: non-negative least squares
        "pyyaml",
        "tqdm",
        "tensorboard",  # training logs
        "matplotlib",  # curves of a training run as PNG
    ],
    entry_points={
        "console_scripts": ["asteroid-tfswa=asteroid_tfswa_cli:main"],
        # for an Asteroid that looks for models there: egs/musdb18/upstream/patches
        "asteroid.models": ["TFSWAUNet=asteroid_tfswa.models:TFSWAUNet"],
    },
    extras_require={
        "scoring": ["museval>=0.4.1", "musdb>=0.4.3", "stempeg>=0.2.6"],  # on numpy 2
        "onnx": ["onnx", "onnxscript", "onnxruntime"],  # to export, and to check what is exported
        "demo": ["tinysoundfont", "pretty_midi"],  # play the built-in songs
        # render songs: drums from MIDI files, voices in other pitches, tempos and sizes (all MIT);
        # pyworld itself has no wheels
        "freestems": ["mido", "pyworld-prebuilt", "python-stretch"],
        # playwright drives the system's chromium in the tests of the page
        "dev": ["pytest>=8", "pytest-xdist>=3.8", "black>=24", "ruff>=0.6", "playwright"],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",  # locks, links and signals
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
