"""Find which files of a song are stems: those that add up to its mixture.

Folders often hold more: the accompaniment, a second mixture, a copy. Used as stems, these would
give wrong training mixtures. Names suggest what a file may be; the audio decides, see `products`.
"""

import re
from dataclasses import dataclass

from asteroid_tfswa.data.raw.products import TOLERANCE, Files
from asteroid_tfswa.errors import InputError

MIXTURES = frozenset(
    (
        "mixture mix fullmix fullmixture linearmixture linearmix mixdown master mastered mastermix "
        "mastermixdown finalmix finalmaster stereomix stereomixdown mainmix rawmix roughmix "
        "originalmix referencemix premaster 2mix 2trackmix twotrack bounce full fullsong fulltrack "
        "original song"
    ).split()
)
SUMS = frozenset(
    (
        "accompaniment accompaniments accomp instrumental instrumentals instrumentalmix instmix "
        "backingtrack backingtracks backingmix playback karaoke karaokemix minusone musicminusone "
        "tvtrack tvmix submix vocalsremoved drumless bassless vocalless"
    ).split()
)
WITHOUT = re.compile(
    r"(mix|mixture|mixdown|full)?(no|non|minus|without|wo|sans)"
    r"(lead)?(vocals?|vox|voices?|singing|drums?|bass|guitars?|piano|keys|other)"
)


@dataclass(frozen=True)
class Selection:
    """The role of each file of a song.

    Attributes:
        stems (list[str]): names of the files that are stems.
        mixture (str or None): the file that is the mixture; None if the stems are to be summed.
        left_out (list[str]): files that are sums or copies of others.
        equal (list[str]): stems that are equal to another stem, except silent ones.
        difference (float): energy of the mixture less the stems, relative to the mixture's.
    """

    stems: list[str]
    mixture: str | None
    left_out: list[str]
    equal: list[str]
    difference: float = 0.0


def normalised(name):
    """Remove case, spaces, dashes, underscores and the like from a file name."""
    return re.sub(r"[\W_]+", "", name.casefold())


def is_mixture_name(name):
    """Whether a file with this name may be the mixture of its song."""
    return normalised(name) in MIXTURES


def is_sum_name(name):
    """Whether a file with this name may be the sum of several stems, or of all."""
    name = normalised(name)
    return name in MIXTURES | SUMS or WITHOUT.fullmatch(name) is not None


def select(names, products, sources, use_mixture=True, must_add_up=True):
    """Decide which files of a song are stems, which is the mixture, and which are neither.

    Args:
        names (list[str]): names of the files.
        products (np.ndarray): their inner products, see `inner_products`.
        sources (list[str]): files that are stems whatever their names; missing ones are silent.
        use_mixture (bool): False to sum the stems even if a mixture exists. Default: True.
        must_add_up (bool): False to accept a mixture that is known to differ. Default: True.

    Returns:
        Selection: the role of every file.

    Raises:
        InputError: the stems do not add up to the mixture, a file is neither a stem nor a sum, or
            a source is the sum of others. The message begins with the files' names.
    """
    files = Files(names, products)
    sources = [name for name in sources if name in names]
    mixtures = [name for name in names if name not in sources and is_mixture_name(name)]
    mixtures.sort(key=lambda name: (normalised(name) != "mixture", normalised(name) != "mix"))
    if not mixtures or not use_mixture:
        others = [name for name in names if name not in mixtures]
        stems = _stems_without_mixture(files, others, sources)
        mixture, distance = None, 0.0
    else:
        if normalised(mixtures[0]) == "mixture":  # others beside it are sums of some kind
            mixtures = mixtures[:1]
        found = [_stems_of(files, mixture, sources) for mixture in mixtures]
        distance, mixture, stems = min(found, key=lambda choice: choice[0])
        if distance > TOLERANCE:
            if must_add_up:
                raise _does_not_add_up(files, mixture, stems, distance)
            stems = [name for name in names if name in sources or not is_sum_name(name)]
        else:
            _check_left_out(files, mixture, stems)
    left_out = [name for name in names if name not in stems and name != mixture]
    pairs = [(one, other) for one in stems for other in stems if one < other]
    equal = {name for pair in pairs if files.are_equal(*pair) for name in pair}
    return Selection(stems, mixture, left_out, sorted(equal), distance)


def _stems_of(files, mixture, sources):
    """Find the stems that come closest to a mixture; return (distance, mixture, stems).

    If the choice makes little difference, files are stems unless their names say that they are
    sums.
    """
    extras = [name for name in files.names if name not in sources and name != mixture]
    ordinary = [name for name in extras if not is_sum_name(name)]
    fitted, _ = files.fit(mixture, extras, sources)
    silent = [name for name in ordinary if files.is_silent(name)]
    choices = [ordinary, extras, sorted({*fitted, *silent})]
    distances = [files.distance(mixture, sources + choice) for choice in choices]
    best = next(i for i, d in enumerate(distances) if d <= 2 * min(distances) + 1e-6)
    stems = [name for name in files.names if name in sources or name in choices[best]]
    return distances[best], mixture, stems


def _check_left_out(files, mixture, stems):
    """Raise InputError if a file left out is not known to be a sum, a copy or a part of a stem."""
    left_out = [name for name in files.names if name not in stems and name != mixture]
    parts = {
        part
        for stem in stems
        for part in (*files.parts_of(stem, left_out), *files.contained(stem, left_out))
    }
    for name in left_out:
        others = [other for other in files.names if other not in (name, mixture)]
        known = is_sum_name(name) or name in parts or files.are_equal(name, mixture)
        if not (known or files.is_silent(name) or files.parts_of(name, others)):
            raise InputError(
                f"{name}: is not in {mixture}, which the other stems ({_listed(stems)}) add up to, "
                "and is not a sum of them; remove it, or use --mixture sum to make it part of the "
                "mixture"
            )


def _does_not_add_up(files, mixture, stems, distance):
    message = f"{_listed(stems)} do not add up to {mixture}"
    if files.is_silent(mixture):
        message += ", which is silent"
    else:
        message += f": the difference has {100 * distance:.0f} % of its energy, "
        message += f"{100 * TOLERANCE:.0f} % are allowed"
    equal = [name for name in stems if files.are_equal(name, mixture)]
    pairs = [(a, b) for a in stems for b in stems if a < b and files.are_equal(a, b)]
    if equal:
        message += f" ({_listed(equal)} equal to {mixture})"
    elif pairs:
        message += f" ({pairs[0][0]} and {pairs[0][1]} are equal)"
    return InputError(
        f"{message}; put the right files there, or use --mixture sum to take the sum of the stems"
    )


def _stems_without_mixture(files, names, sources):
    """Find the files that are neither the sum of others nor parts of a source."""
    stems = list(names)
    extras = [name for name in names if name not in sources]
    # Likely sums first, so that they do not serve to explain other files.
    for name in sorted(extras, key=lambda name: (not is_sum_name(name), -files.energy(name))):
        others = [other for other in stems if other != name]
        if files.parts_of(name, others):
            stems.remove(name)
        elif not files.is_silent(name):
            _, unexplained = files.fit(name, others)
            if unexplained < (0.5 if is_sum_name(name) else TOLERANCE):
                raise InputError(
                    f"{name}: {100 * (1 - unexplained):.0f} % of its energy is in other stems too "
                    f"({'its name says so as well' if is_sum_name(name) else 'at other levels'}), "
                    "but it is not their sum; remove it, or name it in sources if it is a stem"
                )
    for source in sources:
        extras = [name for name in stems if name not in sources]
        for part in files.parts_of(source, extras):
            stems.remove(part)
        parts = files.parts_of(source, [name for name in stems if name != source])
        if len(parts) > 1:
            raise InputError(
                f"{source}: is the sum of {_listed(parts)}, so not all of them are stems; "
                "put the right file there, or leave some of them out of sources"
            )
        twice = files.contained(source, [name for name in stems if name not in sources])
        if twice:
            raise InputError(
                f"{source}: has {_listed(twice)} in it too, which would be in the mixture twice; "
                f"remove {'it' if len(twice) == 1 else 'them'}, or the song's {source}"
            )
    return stems


def _listed(names):
    return ", ".join(names)
