"""Copy tags and covers from a song to its stems."""

import base64
import contextlib

import mutagen
from mutagen.easyid3 import EasyID3
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3
from mutagen.mp4 import MP4Cover
from mutagen.oggvorbis import OggVorbis

FIELDS = ("title", "artist", "albumartist", "album", "date", "tracknumber", "discnumber", "genre")
FIELDS += ("composer", "copyright")
FRONT_COVER = 3  # type of picture, as ID3 and FLAC number them
MAX_TEXT = 10_000  # characters
MAX_PICTURE = 10_000_000  # bytes; a FLAC block is limited to 16 MiB


def copy_tags(source, target, stem):
    """Copy the tags and covers of a song to a stem, and add the stem's name to the title.

    Reads the tags of mp3, flac, ogg, opus and m4a files. Tags that are damaged, or that the stem's
    format cannot hold, are left out.

    Args:
        source (Path): the song.
        target (Path): the stem. Only mp3, flac and ogg get tags, whatever their suffix.
        stem (str): its name; the title becomes "Song (vocals)".

    Raises:
        OSError: if the stem cannot be written.
    """
    write = _writer(target)
    if write is None:
        return
    tags, pictures = {}, []
    # mutagen may raise anything on damaged tags, which must not cost the user the stems.
    with contextlib.suppress(Exception):
        tags = _read_tags(source)
        pictures = _read_pictures(source)
    if not tags and not pictures:
        return
    if "title" in tags:
        tags["title"] = [f"{title} ({stem})" for title in tags["title"]]
    try:
        write(target, tags, pictures)
    except Exception as err:
        # mutagen wraps errors of the disk, which may have cost part of the stem. Any other it
        # raises before it writes: the stem is whole, only without tags.
        if isinstance(err, OSError) or isinstance(err.__context__, OSError):
            raise OSError(f"{target.parent}: cannot be written to; is the disk full?") from err


def _writer(target):
    """The function that writes the tags of a file's format; None for WAV.

    Not all players read tags in WAV.
    """
    with open(target, "rb") as file:
        start = file.read(4)
    if start.startswith((b"ID3", b"\xff")):
        return _write_id3
    return {b"fLaC": _write_flac, b"OggS": _write_ogg}.get(start)


def _read_tags(source):
    file = mutagen.File(source, easy=True)
    tags = {}
    for field in FIELDS:
        with contextlib.suppress(Exception):  # keep the fields that can be read
            texts = [_plain(text) for text in file.tags[field]]
            tags[field] = [text for text in texts if text]
    return {field: texts for field, texts in tags.items() if texts}


def _plain(text):
    """Remove what a tag cannot hold from a text."""
    text = str(text).replace("\0", " ").encode("utf-8", "replace").decode()
    return text[:MAX_TEXT].strip()


def _read_pictures(source):
    """Read pictures as FLAC pictures, which have the fields of ID3's."""
    file = mutagen.File(source)
    tags = file.tags if file.tags is not None else {}
    pictures = list(getattr(file, "pictures", []))
    if isinstance(tags, ID3):
        for frame in tags.getall("APIC"):
            pictures.append(_picture(frame.data, frame.mime, frame.type, frame.desc))
    else:
        for cover in tags.get("covr", []):
            is_png = cover.imageformat == MP4Cover.FORMAT_PNG
            pictures.append(_picture(bytes(cover), "image/png" if is_png else "image/jpeg"))
        for block in tags.get("metadata_block_picture", []):
            with contextlib.suppress(Exception):
                pictures.append(Picture(base64.b64decode(block)))
    return [picture for picture in pictures if 0 < len(picture.data) <= MAX_PICTURE]


def _picture(data, mime, kind=FRONT_COVER, description=""):
    picture = Picture()
    picture.data, picture.mime, picture.type, picture.desc = data, mime, int(kind), description
    return picture


def _write_id3(target, tags, pictures):
    easy = EasyID3()
    for field, texts in tags.items():
        with contextlib.suppress(ValueError):  # an invalid date
            easy[field] = texts
    easy.save(target)
    if pictures:
        frames = ID3(target)
        for picture in pictures:
            frame = APIC(
                encoding=3,  # UTF-8
                mime=picture.mime,
                type=picture.type,
                desc=picture.desc,
                data=picture.data,
            )
            while frame.HashKey in frames:  # of pictures with one description the last would stay
                frame.desc += " "
            frames.add(frame)
        frames.save(target)


def _write_flac(target, tags, pictures):
    file = FLAC(target)
    file.update(tags)
    for picture in pictures:
        file.add_picture(picture)
    file.save()


def _write_ogg(target, tags, pictures):
    file = OggVorbis(target)
    file.update(tags)
    if pictures:
        blocks = [base64.b64encode(picture.write()).decode() for picture in pictures]
        file["metadata_block_picture"] = blocks
    file.save()
