"""Messages are one line that harms no terminal."""

import pickle

import pytest

from asteroid_tfswa.errors import InputError, one_line


@pytest.mark.parametrize(
    "text, line",
    [
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{SNOWMAN}", None),
        ("\N{IDEOGRAPHIC SPACE}\N{NO-BREAK SPACE}", None),
        ("a\nb\r\0", r"a\nb\r\x00"),
        ("\x1b[2J\x9b", r"\x1b[2J\x9b"),
        (b"caf\xe9".decode(errors="surrogateescape"), r"caf\udce9"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}\N{LINE SEPARATOR}", r"\u202e\u2028"),
    ],
)
def test_one_line(text, line):
    assert one_line(text) == (text if line is None else line)
    error = InputError(text)
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == one_line(text)
