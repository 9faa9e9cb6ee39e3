"""What is particular to MUSDB18 and MUSDB18-HQ: their validation songs, streams and licence.

References:
    Rafii et al., "The MUSDB18 corpus for music separation", 2017,
    doi:10.5281/zenodo.1117372 (stem.mp4) and doi:10.5281/zenodo.3338373 (HQ, WAV).
"""

# The order of the audio streams inside a MUSDB18 stem.mp4 file.
STEM_MP4_STREAMS = ("mixture", "drums", "bass", "other", "vocals")

# The 14 of the 100 train songs that papers validate on (`validation_tracks` of the musdb package).
VALIDATION_SONGS = frozenset(
    (
        "ANiMAL - Rockshow",
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    )
)

# Songs whose published mixture is not the sum of their stems (here in the left channel), see the
# errata at https://sigsep.github.io/datasets/musdb.html.
MIXTURES_THAT_DIFFER = frozenset(("PR - Oh No",))

LICENSE = (
    "MUSDB18: academic, non-commercial use only; each song has its own terms, "
    "see https://sigsep.github.io/datasets/musdb.html"
)
