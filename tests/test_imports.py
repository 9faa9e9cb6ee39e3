"""Commands and processes that they start import what they need: Asteroid takes seconds."""

import subprocess
import sys

CODE = """
import sys
import asteroid_tfswa_cli
import asteroid_tfswa.config, asteroid_tfswa.data.prepare, asteroid_tfswa.workers
import asteroid_tfswa.freestems.songs, asteroid_tfswa.scores.report, asteroid_tfswa.scores.compare
print(sorted({"torch", "asteroid"} & set(sys.modules)))
import asteroid_tfswa.scores.jobs
print("asteroid" in sys.modules)
from asteroid_tfswa import *
from asteroid import models
print(models.get("TFSWAUNet") is TFSWAUNet, issubclass(InputError, ValueError))
print("pystoi" in sys.modules)
print(hasattr(asteroid_tfswa, "TFSWANet"))
"""


def test_commands_import_asteroid_when_they_need_a_model():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "False", "True True", "False", "False"], done.stderr
