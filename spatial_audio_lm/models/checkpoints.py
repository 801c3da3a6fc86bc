"""What can be loaded: the checkpoints inside this package, and the published ones that a converter here can read.

A packaged checkpoint is a folder for ``from_pretrained``, complete in itself. A published one is downloaded by its
owner's terms and brought into our layout by ``spatial-audio-lm convert``.
"""

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spatial_audio_lm.errors import CheckpointError

PACKAGED_FOLDER = Path(__file__).parent / "packaged"
DEFAULT_QUERY_MODEL = "elsa-tiny"
DEFAULT_EVENTS_MODEL = "dspast-tiny"  # of recordings with two ears
DEFAULT_QUESTION_MODEL = "bat-tiny"
DEFAULT_CAPTION_MODEL = "captioner-tiny"


@dataclass(frozen=True)
class PublishedCheckpoint:
    """Weights that others published.

    Attributes:
        name: Short name, as ``spatial-audio-lm models`` lists it.
        hub_id: Repository on the Hugging Face Hub, with "datasets/" before it where it is one of data; None where its
            authors publish it elsewhere.
        file: File in that repository, or None where the whole folder is the checkpoint.
        layout: How its keys are named, in the words of the converter.
        converter: Name of its converter, as ``spatial-audio-lm convert`` takes it.
        license: Terms of the weights, as their publisher states them.
        description: What it is, in one line.
        url: Where to download it if it is not on the Hub.
        options: What else its conversion needs.
        beside: Files of the repository that the converter reads beside `file`.
    """

    name: str
    hub_id: str | None
    file: str | None
    layout: str
    converter: str
    license: str
    description: str
    url: str | None = None
    options: str = ""
    beside: tuple[str, ...] = ()


PUBLISHED: tuple[PublishedCheckpoint, ...] = (
    PublishedCheckpoint(
        name="clap-htsat-unfused",
        hub_id="laion/clap-htsat-unfused",
        file=None,
        layout="transformers",
        converter="clap",
        license="apache-2.0",
        description="CLAP (HTS-AT and RoBERTa): the towers that full-size ELSA starts from",
    ),
    PublishedCheckpoint(
        name="laion-clap-630k-audioset",
        hub_id="lukewys/laion_clap",
        file="630k-audioset-best.pt",
        layout="laion",
        converter="clap",
        license="cc0-1.0 (as the code repository LAION-AI/CLAP states it)",
        description="The same CLAP in the layout of LAION's own code (unfused, clips up to 10 s)",
    ),
    PublishedCheckpoint(
        name="spatial-ast",
        hub_id="datasets/zhisheng01/SpatialAudio",
        file="SpatialAST/finetuned.pth",
        layout="spatial_ast",
        converter="spatial_ast",
        license="cc-by-nc-4.0 (LICENSE of zszheng147/Spatial-AST; its README says CC-BY 4.0)",
        description="SpatialAST, the two-eared encoder of BAT: 355 events, distance, azimuth, elevation",
    ),
    PublishedCheckpoint(
        name="bat",
        hub_id="datasets/zhisheng01/SpatialAudio",
        file="BAT/model.pt",
        layout="bat",
        converter="bat",
        license="as spatial-ast, of the same authors; Llama-2-7B has Meta's terms",
        description="BAT: Q-Former between SpatialAST and Llama-2-7B, and that model's adapter; needs both",
        options="--audio-encoder SPATIAL_AST --language-model LLAMA_2_7B",
    ),
    *(
        PublishedCheckpoint(
            name=f"dspast-stage{stage}",
            hub_id="kwilk90/DSpAST",
            file=f"DSpAST-stage{stage}.pth",
            layout="dspast",
            converter="dspast",
            license="cc-by-nc-4.0 (LICENSE of wilkinghoff/DSpAST)",
            description=f"DSpAST after {after}",
        )
        for stage, after in (
            (1, "the first stage: sound events alone"),
            (2, "the second stage: distance and direction as well"),
            (3, "the third stage: the best of them"),
        )
    ),
    *(
        PublishedCheckpoint(
            name=f"audio-mae-{layout}",
            hub_id=None,
            file=f"{layout}.pth",
            layout=f"audio_mae_{layout}",
            converter="audio_mae",
            license="cc-by-nc-4.0 (LICENSE of facebookresearch/AudioMAE; its README says CC-BY 4.0)",
            description=description,
            url=f"https://drive.google.com/file/d/{drive_id}/view",
        )
        for layout, drive_id, description in (
            (
                "pretrained",
                "1ni_DV4dRf7GxM8k-Eirx71WP9Gg89wwu",
                "Audio-MAE as pre-trained on AudioSet, with its decoder; also what SpatialAST and DSpAST begin with",
            ),
            (
                "finetuned",
                "18EsFOyZYvBYHkJ7_n7JFFWbj6crz01gq",
                "Audio-MAE as fine-tuned on AudioSet: 527 classes",
            ),
        )
    ),
    *(
        PublishedCheckpoint(
            name=f"gramt-{name}",
            hub_id=f"labhamlet/gramt-{name}",
            file="model.safetensors",
            layout=f"gram {variant}",
            converter="gram",
            license="mit (tag of the Hub's card; the code labhamlet/GRAM-T is CC BY 4.0)",
            description=f"GRAM for {heard}",
        )
        for name, variant, heard in (
            ("binaural", "binaural-patch", "two ears: a masked autoencoder of 2 s in 80 ms by 16 bands"),
            ("binaural-time", "binaural-time", "two ears, with patches of 20 ms and all bands"),
            ("ambisonics", "ambisonics-patch", "first-order ambisonics"),
            ("mono", "mono-patch", "one channel"),
        )
    ),
    *(
        PublishedCheckpoint(
            name=f"wavjepa-{variant}",
            hub_id=f"labhamlet/wavjepa-{variant}",
            file="model.safetensors",
            layout=f"wavjepa {variant}",
            converter="wavjepa",
            license="mit (tag of the Hub's card; the code labhamlet/wavjepa is BSD 3-Clause)",
            description=description,
            beside=("config.json",),
        )
        for variant, description in (
            ("base", "WavJEPA: embeddings of raw waveforms of one channel, every 10 ms"),
            ("nat-base", "WavJEPA-Nat: the same of two ears, trained on sounds in rooms with noise"),
        )
    ),
)


# System -> module and function; imported when one is asked for.
CONVERTERS: dict[str, tuple[str, str]] = {
    "clap": ("spatial_audio_lm.models.elsa.convert_elsa", "convert_clap"),
    "spatial_ast": ("spatial_audio_lm.models.spatial_ast.convert_spatial_ast", "convert_spatial_ast"),
    "dspast": ("spatial_audio_lm.models.dspast.convert_dspast", "convert_dspast"),
    "audio_mae": ("spatial_audio_lm.models.audio_mae.convert_audio_mae", "convert_audio_mae"),
    "gram": ("spatial_audio_lm.models.gram.convert_gram", "convert_gram"),
    "bat": ("spatial_audio_lm.models.bat.convert_bat", "convert_bat"),
    "wavjepa": ("spatial_audio_lm.models.wavjepa.convert_wavjepa", "convert_wavjepa"),
}


def converter(system: str) -> Callable[..., object]:
    """The function that brings a published checkpoint into our layout: `(source, output folder)`, and for BAT the
    folders of the two models that it needs.

    Args:
        system: A key of :data:`CONVERTERS`.
    """
    module, function = CONVERTERS[system]
    return getattr(importlib.import_module(module), function)


def packaged_names() -> list[str]:
    """Names of the checkpoints that ship inside the package, sorted."""
    if not PACKAGED_FOLDER.is_dir():
        return []
    return sorted(path.parent.name for path in PACKAGED_FOLDER.glob("*/config.json"))


def packaged(name: str) -> Path:
    """The folder of a checkpoint that ships inside the package, for ``from_pretrained``.

    Args:
        name: For example ``"elsa-tiny"``.

    Raises:
        CheckpointError: No checkpoint of that name is packaged; the message lists those that are.

    Example:
        >>> from spatial_audio_lm import ElsaModel, packaged
        >>> model = ElsaModel.from_pretrained(packaged("elsa-tiny"))
    """
    names = packaged_names()
    if name in names:
        return PACKAGED_FOLDER / name
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise CheckpointError(f"no packaged checkpoint {name!r}: {hint}there are: {', '.join(names) or 'none'}")


def checkpoint_folder(name_or_path: str | Path) -> Path:
    """The folder of a packaged name or of a local path: what every ``--model`` option takes.

    Raises:
        CheckpointError: Neither a packaged name nor a folder with a ``config.json``.
    """
    if str(name_or_path) in packaged_names():
        return PACKAGED_FOLDER / str(name_or_path)
    path = Path(name_or_path)
    if (path / "config.json").is_file():
        return path
    what = "has no config.json" if path.is_dir() else "is no folder"
    raise CheckpointError(
        f"model {str(name_or_path)!r} {what}: give a folder written by save_pretrained, or a packaged name "
        f"({', '.join(packaged_names()) or 'none'})"
    )
