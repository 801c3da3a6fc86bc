"""Words of captions for scores of overlap, as the Penn Treebank's tokenizer parts them and COCO's scripts clean them.

The published scores part words with a Java program (Stanford CoreNLP's PTBTokenizer), in lower case, and then drop
punctuation. This does the same to plain English: hyphens stay inside words, contractions are parted before their "n't"
or "'s", punctuation goes. It does not do the rest of the treebank's rules (abbreviations, quotes of quotes, URLs), of
which captions have next to none.
"""

import re

from spatial_audio_lm.errors import TextError

_CONTRACTION = re.compile(r"(?<=\w)(n't|'(?:s|m|d|ll|re|ve))\b|(?<=s)(')(?!\w)")
# Numbers with points or commas, words with hyphens and dots inside, what a contraction leaves, single signs.
_TOKEN = re.compile(r"n't\b|'(?:s|m|d|ll|re|ve)\b|\d+(?:[.,]\d+)+|\w+(?:[-./]\w+)*|[^\w\s]")
_PUNCTUATION = frozenset("'`\".?!,:;-()[]{}\u2013\u2014\u2026\u201c\u201d")
_ONE_WORD = {"cannot": ("can", "not"), "gonna": ("gon", "na"), "wanna": ("wan", "na"), "gotta": ("got", "ta")}


def caption_tokens(text: str) -> list[str]:
    """The words of a caption.

    Raises:
        TextError: it is no text.
    """
    if not isinstance(text, str):
        raise TextError(f"a caption is a {type(text).__name__}; expected a text")
    plain = text.lower().replace("\u2019", "'").replace("\u2018", "'")
    parted = _CONTRACTION.sub(lambda found: f" {found[0]} ", plain)
    tokens = [token for token in _TOKEN.findall(parted) if token not in _PUNCTUATION]
    return [part for token in tokens for part in _ONE_WORD.get(token, (token,))]
