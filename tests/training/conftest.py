"""Lets the tests of this folder import the small training and the kill harness by name, in spawned processes too."""

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[1]):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
