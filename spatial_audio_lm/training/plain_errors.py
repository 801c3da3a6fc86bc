"""How a recipe ends by an error: what the user can put right is said in one message, without the way through our code.

An error of another kind keeps its traceback; `python -X dev recipes/NAME.py ...` shows it for all.
"""

import sys
from types import TracebackType

from spatial_audio_lm.errors import SpatialAudioError


def end_plainly() -> None:
    """From here on a `SpatialAudioError` that nobody catches ends this program with its message and exit status 1.

    A hook that somebody else (a debugger, a notebook) has set stays.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, SpatialAudioError) and not sys.flags.dev_mode:
        print(f"error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
