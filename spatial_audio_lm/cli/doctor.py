"""`spatial-audio-lm doctor`: what is installed, what is missing, and what does not work here.

It imports nothing that may be broken: a library that could take the process down is tried in another one.
"""

import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import typer

from spatial_audio_lm.cli.options import DEFAULT_MODEL, Debug, Json
from spatial_audio_lm.cli.output import PROGRAM, print_json
from spatial_audio_lm.models.checkpoints import packaged_names

_TRY_TIMEOUT_S = 120.0
_NOT_ADVISED = ("dev", "torchaudio")  # for developers; and what is better left out (see library_traps)


@dataclass(frozen=True)
class Requirement:
    """A library that this package names.

    Attributes:
        name: As on PyPI.
        wanted: Versions that will do, "" for any.
        installed: Version that is there, None if there is none.
        satisfied: Whether that will do.
        extra: The pip extra it belongs to, None for what is always needed.
    """

    name: str
    wanted: str
    installed: str | None
    satisfied: bool
    extra: str | None


def doctor(json: Json = False, debug: Debug = False) -> None:
    """Check the installation: versions, missing extras with the line that installs them, known traps.

    The exit status is 1 if something that is always needed is missing or broken.
    """
    found = requirements()
    problems = [*missing_core(found), *library_traps(), *checkpoint_problems()]
    if not problems:
        problems += answer_problems()
    missing = missing_extras(found)
    if json:
        print_json(
            {
                "version": version(PROGRAM),
                "python": platform.python_version(),
                "platform": platform.platform(),
                "requirements": [asdict(requirement) for requirement in found],
                "missing_extras": missing,
                "packaged": packaged_names(),
                "problems": problems,
            }
        )
    else:
        print(f"{PROGRAM} {version(PROGRAM)}, Python {platform.python_version()}, {platform.platform()}")
        for requirement in found:
            if requirement.extra is None:
                name, installed, wanted = requirement.name, requirement.installed or "missing", requirement.wanted
                print(f"  {name:<18} {installed:<14} (needs {wanted or 'any'})")
        print(f"packaged checkpoints: {', '.join(packaged_names()) or 'none'}")
        for extra, entry in missing.items():
            print(f"optional, for {extra}: {', '.join(entry['libraries'])} not installed; {entry['pip']}")
        for problem in problems:
            print(f"PROBLEM: {problem}")
        print("all is well" if not problems else f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found")
    if problems:
        raise typer.Exit(1)


def requirements() -> list[Requirement]:
    """What the package's own metadata asks for, and what is there of it."""
    from packaging.requirements import Requirement as Line

    found = []
    for text in requires(PROGRAM) or []:
        line = Line(text)
        extra = next((name for name in _extras() if line.marker and _belongs_to(line.marker, name)), None)
        if extra in _NOT_ADVISED:
            continue
        installed = _installed(line.name)
        satisfied = installed is not None and line.specifier.contains(installed, prereleases=True)
        found.append(Requirement(line.name, str(line.specifier), installed, satisfied, extra))
    return found


def missing_core(found: list[Requirement]) -> list[str]:
    """Libraries that are always needed and not there, or too old."""
    return [
        f"{requirement.name} {requirement.wanted} is needed, {requirement.installed or 'nothing'} is installed: "
        f"pip install '{requirement.name}{requirement.wanted}'"
        for requirement in found
        if requirement.extra is None and not requirement.satisfied
    ]


def missing_extras(found: list[Requirement]) -> dict[str, dict[str, Any]]:
    """Optional libraries that are not there, by extra, with the pip line that installs them."""
    missing: dict[str, dict[str, Any]] = {}
    for extra in dict.fromkeys(requirement.extra for requirement in found if requirement.extra):
        names = [entry.name for entry in found if entry.extra == extra and not entry.satisfied]
        if names:
            missing[extra] = {"libraries": names, "pip": f"pip install '{PROGRAM}[{extra}]'"}
    return missing


def library_traps() -> list[str]:
    """Libraries that are installed and do not load, and take others down with them.

    transformers imports torchaudio wherever it is installed. Its newest wheels are built for CUDA: beside a CPU torch
    they raise OSError, and with them every audio model of transformers, peft and sentence-transformers. `pip check`
    finds nothing wrong.
    """
    problems = []
    for name, consequence in (
        ("torchaudio", "transformers imports it wherever it is installed, and its audio models fail with it"),
        ("torchcodec", "datasets decodes audio with it where it is installed"),
    ):
        installed = _installed(name)
        failure = _failure_of_import(name) if installed else None
        if failure:
            problems.append(
                f"{name} {installed} is installed and does not load beside torch {_installed('torch')} ({failure}); "
                f"{consequence}. Way out: pip uninstall {name}; nothing here needs it"
            )
    for name in ("torch", "transformers", "soundfile"):
        failure = _failure_of_import(name) if _installed(name) else None
        if failure:
            problems.append(f"{name} {_installed(name)} is installed and does not load: {failure}")
    return problems


def checkpoint_problems() -> list[str]:
    """Whether the model that commands use without --model is there."""
    if DEFAULT_MODEL in packaged_names():
        return []
    return [f"the packaged checkpoint {DEFAULT_MODEL} is missing: install the package from its wheel, or git lfs pull"]


def answer_problems() -> list[str]:
    """Lets the packaged model answer once: a noise burst that is made to come from the left."""
    import torch

    from spatial_audio_lm.cli.loading import load_query_engine
    from spatial_audio_lm.signal.ambisonics import encode_foa
    from spatial_audio_lm.signal.spatial_audio import SpatialAudio

    try:
        engine = load_query_engine(DEFAULT_MODEL)
        noise = 0.1 * torch.randn(2 * engine.sample_rate, generator=torch.Generator().manual_seed(0))
        audio = SpatialAudio.from_array(encode_foa(noise, 90.0, 0.0), engine.sample_rate, format="foa")
        engine.query(audio, ["a sound from the left", "a sound from the right"])
    except Exception as error:  # whatever it is, it is what the user has to know
        return [f"the packaged model does not answer: {type(error).__name__}: {error}"]
    return []


def _extras() -> list[str]:
    from importlib.metadata import metadata

    return metadata(PROGRAM).get_all("Provides-Extra") or []


def _belongs_to(marker: object, extra: str) -> bool:
    """Whether a requirement is for one extra: its marker is true with it and false without."""
    return marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})  # type: ignore[attr-defined]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _failure_of_import(name: str) -> str | None:
    """Last line of what `import name` says in a process of its own; None if it works."""
    try:
        tried = subprocess.run(
            [sys.executable, "-c", f"import {name}"],
            capture_output=True,
            text=True,
            timeout=_TRY_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the import did not end within {_TRY_TIMEOUT_S:.0f} s"
    if tried.returncode == 0:
        return None
    return next(iter(reversed(tried.stderr.split("\n")[:-1])), f"exit status {tried.returncode}")[:200]
