"""WordNet's files, in its own format."""

import pytest

from spatial_audio_lm.data.wordnet import PARTS_OF_SPEECH, read_wordnet
from spatial_audio_lm.errors import DataError

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by\n"
DATA = '02084071 05 n 01 dog 0 000 | a member of the genus Canis; "the dog barked all night"; "good dog!"  \n'


@pytest.fixture
def folder(tmp_path):
    for part in PARTS_OF_SPEECH:
        (tmp_path / f"index.{part}").write_text(LICENCE + f"hot_dog_{part} n 1 1 @ 1 0 02084071  \n")
        (tmp_path / f"data.{part}").write_text(LICENCE + DATA)
    return tmp_path


def test_words_and_sentences(folder):
    lemmas, sentences = read_wordnet(folder)
    assert lemmas == {part: [f"hot dog {part}"] for part in PARTS_OF_SPEECH}
    assert sentences == ["the dog barked all night", "good dog!", "a member of the genus Canis"]


def test_missing_files_are_named(folder):
    (folder / "data.verb").unlink()
    with pytest.raises(DataError, match=r"no data\.verb: install WordNet"):
        read_wordnet(folder)
