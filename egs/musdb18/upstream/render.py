"""Fills in templates: lines that name code of `asteroid_tfswa` become that code.

A template line such as ``# from asteroid_tfswa/masknn/attention.py: SWA.__init__, spans`` stands
for these definitions as they are in our sources, so that the contribution cannot fall behind. What
Asteroid does not take is marked in our sources: the lines from ``# upstream: skip`` to
``# upstream: end`` are left out, and a line that ends in ``# upstream: CODE`` becomes that code.
"""

import ast
import re
from pathlib import Path

import asteroid_tfswa
from asteroid_tfswa.errors import InputError

ROOT = Path(asteroid_tfswa.__file__).resolve().parents[1]
INCLUDE = re.compile(r"^( *)# from (asteroid_tfswa/\S+\.py): (.+)\n", re.MULTILINE)
LEFT_OUT = "gradient_checkpointing"  # it needs a newer torch than Asteroid does


def render(template):
    """Fill in one template.

    Args:
        template (str): text of the template.

    Returns:
        str: text of the file.

    Raises:
        InputError: if our sources lack a definition that the template names.
    """
    parts = [*INCLUDE.finditer(template)]
    text, end = "", 0
    for part in parts:
        indent, path, names = part.groups()
        source = (ROOT / path).read_text(encoding="utf-8")
        gap = "\n" if indent else "\n\n"
        definitions = [for_asteroid(definition(source, name, path)) for name in names.split(", ")]
        between = template[end : part.start()]
        text += (gap if end and not between else between) + gap.join(definitions)
        end = part.end()
    return text + template[end:]


def definition(source, name, path):
    """Return the lines of a function, class or method.

    Args:
        source (str): a module's text.
        name (str): ``function``, ``Class`` or ``Class.method``.
        path (str): the module, for the message.

    Returns:
        str

    Raises:
        InputError: if the module has no such definition.
    """
    node = ast.parse(source)
    for step in name.split("."):
        node = next((n for n in node.body if getattr(n, "name", None) == step), None)
        if node is None:
            raise InputError(f"{path} has no {name}, which a template names")
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "".join(source.splitlines(keepends=True)[first - 1 : node.end_lineno])


def for_asteroid(code):
    """Leave out what Asteroid does not take, and write types as Python 3.8 does.

    Args:
        code (str): one of our definitions.

    Returns:
        str

    Raises:
        InputError: if marks are left over.
    """
    code = re.sub(r" *# upstream: skip\n.*?# upstream: end\n", "", code, flags=re.DOTALL)
    code = re.sub(r"^( *)\S.*# upstream: (.+)\n", r"\1\2\n", code, flags=re.MULTILINE)
    code = re.sub(rf"^ *(self\.)?\"?{LEFT_OUT}\"?( =|=|:)[^\n]*\n", "", code, flags=re.MULTILINE)
    code = re.sub(rf", (self\.)?{LEFT_OUT}\b", "", code)
    if "# upstream:" in code:
        raise InputError(
            f"marks must lie within a definition, and in pairs: {code.splitlines()[0]}"
        )
    return re.sub(r"\b(list|tuple)\[", lambda found: f"{found[1].capitalize()}[", code)
