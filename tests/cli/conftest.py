"""What the tests of the command separate share."""

from pathlib import Path

import pytest
import torch


@pytest.fixture
def folder(tmp_path, monkeypatch, make_model):
    """A folder to work in, with a model of the sources vocals and drums."""
    monkeypatch.chdir(tmp_path)
    torch.save(make_model().serialize(), "model.pth")
    Path("songs").mkdir()
    return tmp_path
