"""Separate long audio in overlapping chunks, at constant memory.

`separate_wav` separates tensors, `separate_blocks` streams, `separate_file` one file and
`separate_files` many.
"""

from asteroid_tfswa.devices import choose_device
from asteroid_tfswa.separate.find import find_songs
from asteroid_tfswa.separate.song import file_separate, separate_file
from asteroid_tfswa.separate.songs import separate_files
from asteroid_tfswa.separate.stream import separate_blocks, separate_wav

__all__ = [
    "choose_device",
    "file_separate",
    "find_songs",
    "separate_blocks",
    "separate_file",
    "separate_files",
    "separate_wav",
]
