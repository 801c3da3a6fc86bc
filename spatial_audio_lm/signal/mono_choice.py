"""What may be done with one channel where more are heard: refuse it, or hear it in all of them, without a direction."""

from spatial_audio_lm.errors import ConfigError

MONO = ("refuse", "duplicate")


def require_mono_choice(mono: str) -> None:
    """Refuses a choice that there is not.

    Raises:
        ConfigError: not one of `MONO`.
    """
    if mono not in MONO:
        raise ConfigError(f"mono is {mono!r}; expected one of {', '.join(MONO)}")
