"""The commands are tested with the small model and the bad recordings of tests/pipelines."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))

from tiny_bat import answerer, tiny_bat, tiny_bat_foa  # noqa: F401
from tiny_captioner import captioner, tiny_captioner  # noqa: F401
from tiny_dspast import (  # noqa: F401
    ears_clip,
    locator,
    long_ears_clip,
    make_ears,
    tiny_dspast,
    tiny_spatial_ast,
)
from tiny_elsa import clip, engine, long_clip, make_sound, tiny_elsa  # noqa: F401
