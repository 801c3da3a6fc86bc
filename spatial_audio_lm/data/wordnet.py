"""English words and sentences from WordNet's own files (Debian package wordnet-base): broad, free text.

WordNet 3.0 may be used and redistributed for any purpose with its notice (THIRD_PARTY_NOTICES.md). The format is
described in its manual page wndb(5): `index.POS` begins each line with a lemma, `data.POS` ends each with
`| definition; "example"; "example"`.
"""

from collections.abc import Iterator
from pathlib import Path

from spatial_audio_lm.errors import DataError

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
DEFAULT_FOLDER = "/usr/share/wordnet"


def read_wordnet(folder: str | Path = DEFAULT_FOLDER) -> tuple[dict[str, list[str]], list[str]]:
    """Read lemmas and sentences.

    Args:
        folder: holds `index.noun`, `data.noun` and so on.

    Returns:
        The lemmas a part of speech ("a_cappella" as "a cappella"), and all definitions and example sentences; both in
        the files' order and without repetitions.

    Raises:
        DataError: a file is missing.
    """
    folder = Path(folder)
    lemmas: dict[str, list[str]] = {}
    sentences: dict[str, None] = {}
    for part in PARTS_OF_SPEECH:
        for name in (f"index.{part}", f"data.{part}"):
            if not (folder / name).is_file():
                raise DataError(
                    f"{folder} has no {name}: install WordNet (Debian: apt-get install wordnet-base) "
                    "or give the folder that holds its index.* and data.* files"
                )
        lemmas[part] = [line.split(" ", 1)[0].replace("_", " ") for line in _entries(folder / f"index.{part}")]
        for line in _entries(folder / f"data.{part}"):
            for sentence in _sentences(line.partition("| ")[2]):
                sentences[sentence] = None
    return lemmas, list(sentences)


def _entries(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="strict") as file:
        yield from (line.rstrip("\n") for line in file if not line.startswith("  "))  # the licence is indented


def _sentences(gloss: str) -> Iterator[str]:
    outside, inside = [], False
    for piece in gloss.split('"'):  # examples stand in quotation marks
        if inside and len(piece) > 2:
            yield piece.strip()
        elif not inside:
            outside.append(piece)
        inside = not inside
    definition = " ".join(outside).replace(" ;", ";").strip(" ;")
    if definition:
        yield definition
