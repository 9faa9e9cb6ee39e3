"""Facts about MUSDB18 and MUSDB18-HQ: validation songs, streams and licence.

References:
    Rafii et al., "The MUSDB18 corpus for music separation", 2017,
    doi:10.5281/zenodo.1117372 (stem.mp4) and doi:10.5281/zenodo.3338373 (HQ, WAV).
"""

import re

# The order of the audio streams inside a MUSDB18 stem.mp4 file.
STEM_MP4_STREAMS = ("mixture", "drums", "bass", "other", "vocals")

# The 14 of the 100 train songs used for validation (`validation_tracks` of the musdb package).
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

RENDERED = "rendered from sounds under "  # and a list of licences, in sets of egs/freestems

# The fields of Asteroid's licence notices.
NOTICE = {
    "title_link": "https://sigsep.github.io/datasets/musdb.html",
    "author": "Z. Rafii, A. Liutkus, F.-R. Stöter, S. I. Mimilakis and R. Bittner",
    "author_link": "https://doi.org/10.5281/zenodo.3338373",
    "license_link": "https://sigsep.github.io/datasets/musdb.html",
}
FREE = re.compile(
    r"\bcc.?0|\bcc.?by|creative commons (attribution|zero)|\bl?gpl|\bmit\b|apache|\bbsd\b"
    r"|public.?domain",
    re.I,
)
RESTRICTED = re.compile(
    r"\b(non|not|no)\W?(for )?commercial|(\b|_)n[cd](\b|_)|noderiv|academic|research|education"
    r"|personal|private|proprietary|reserved|evaluation|unknown",
    re.I,
)


def license_notice(title, license, **changes):
    """State the terms of a data set, as Asteroid publishes them with a model.

    Args:
        title (str): the set's name.
        license (str): terms of the audio.
        **changes: fields to replace, "author" or "title_link" for example, or "attribution": a text
            that goes along with models, where many authors are to be named.

    Returns:
        dict: "title", "title_link", "author", "author_link", "license" and "license_link" (texts,
        empty where nothing is known), and "non_commercial" (bool): False only for terms that are
        known to permit commercial use.
    """
    known = NOTICE if license == LICENSE else dict.fromkeys(NOTICE, "")
    # Sets of songs that were put together state their terms one after the other.
    parts = re.split(r"; (?=[^;]+: )", license)
    terms = [term for part in parts for term in (part.split(", ") if RENDERED in part else [part])]
    is_free = all(map(FREE.search, terms)) and not RESTRICTED.search(license)
    notice = {"title": title, "license": license, "non_commercial": not is_free}
    return {**notice, **known, **changes}
