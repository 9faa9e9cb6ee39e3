"""The patches that we offer to Asteroid: each applies to its master, and its tests need it."""

import ast
import re
import subprocess

import pytest

from tests.upstream.conftest import ROOT, UPSTREAM, git, new_checkout, run_in

PATCHES = sorted((UPSTREAM / "patches").glob("*.patch"))
NO_TEST = "14-requirements"  # what setup.py says is tested here


def names_of_tests(patch):
    """Names of the tests that a patch adds, or that Asteroid has already and that it repairs."""
    return re.findall(r"^\+def (test_\w+)", patch.read_text(), re.MULTILINE) or ["test_dccrnet"]


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_says_what_and_why_in_a_few_lines(patch):
    subject, empty, *reason = patch.read_text().split("\n\ndiff --git")[0].split("\n")
    assert re.fullmatch(r"\[(src|install)\] [A-Z].{10,60}", subject) and not empty
    assert len(reason) == 2
    added = re.findall(r"^\+(?!\+)", patch.read_text(), re.MULTILINE)
    assert len(added) < 60


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_applies_alone(real_checkout, checkout, patch):
    git(checkout, "apply", "--check", "--whitespace=error", patch)


def test_requirements_are_what_is_imported(real_checkout, checkout):
    (patch,) = [patch for patch in PATCHES if patch.stem == NO_TEST]
    assert {"torchmetrics", "requests"} & required(checkout) == {"torchmetrics"}
    assert git(checkout, "grep", "-lE", r"^\s*import requests", "asteroid") != ""
    grep = ["git", "grep", "-l", "torchmetrics", "asteroid", "tests", "egs"]
    assert subprocess.run(grep, cwd=checkout, capture_output=True).stdout == b""
    git(checkout, "apply", patch)
    assert {"torchmetrics", "requests"} & required(checkout) == {"requests"}


def required(checkout):
    """Names of the packages that setup.py requires."""
    found = setup_argument(checkout, "install_requires")
    return {re.match(r"[\w-]+", requirement)[0] for requirement in found}


def setup_argument(folder, name):
    """The value of an argument in setup.py."""
    (found,) = [
        node.value
        for node in ast.walk(ast.parse((folder / "setup.py").read_text()))
        if isinstance(node, ast.keyword) and node.arg == name
    ]
    return ast.literal_eval(found)


def test_asteroid_finds_our_model_by_its_entry_point(real_checkout, checkout, tmp_path):
    """With the patch, `asteroid.models` and `asteroid-infer` need no import of our package."""
    info = tmp_path / "site/asteroid_tfswa-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: asteroid-tfswa\nVersion: 0\n")
    (entry,) = setup_argument(ROOT, "entry_points")["asteroid.models"]
    (info / "entry_points.txt").write_text(f"[asteroid.models]\n{entry}\n")
    code = "from asteroid.models import get; print(get('tfswaunet').__module__)"
    path = f"{checkout}:{info.parent}:{ROOT}"
    assert run_in(path, "-c", code, cwd="/", check=False).returncode
    git(checkout, "apply", UPSTREAM / "patches/15-plugin-models.patch")
    assert run_in(path, "-c", code, cwd="/").stdout == "asteroid_tfswa.models.tfswa_unet\n"


def test_each_test_fails_without_its_patch_and_passes_with_it(real_checkout, tmp_path):
    """All patches together, beside the contribution: two runs of Asteroid's tests are enough."""
    from to_asteroid import write_contribution

    checkout = new_checkout(tmp_path / "asteroid")
    write_contribution(checkout)
    patches = [patch for patch in PATCHES if patch.stem != NO_TEST]
    for patch in patches:
        git(checkout, "apply", "--allow-empty", "--include=tests/*", patch)
    before = outcomes(checkout, patches)
    for patch in patches:
        git(checkout, "apply", "--exclude=tests/*", patch)
    after = outcomes(checkout, patches)
    for patch in patches:
        for name in names_of_tests(patch):
            assert "failed" in before[name], (patch.stem, name, before)
            assert after[name] == {"passed"}, (patch.stem, name, after)


def outcomes(checkout, patches):
    """Run the tests of the patches; return the set of outcomes of each test function."""
    names = {name for patch in patches for name in names_of_tests(patch)}
    files = {"models/models_test", "engine/system_test", "cli_test", "utils/utils_test"}
    files = [f"tests/{name}.py" for name in sorted(files | {"losses/loss_functions_test"})]
    command = ["-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider", "-k", " or ".join(names)]
    done = run_in(checkout, *command, *files, check=False)
    found = {name: set() for name in names}
    for outcome, name in re.findall(r"^(PASSED|FAILED|ERROR) \S+::(test_\w+)", done.stdout, re.M):
        found[name].add(outcome.lower())
    return found
