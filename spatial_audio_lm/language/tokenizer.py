"""Small tokenizers made from texts, for trainings that may not download one."""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def tokenizer_from_texts(texts: Iterable[str], vocab_size: int = 2000) -> PreTrainedTokenizerFast:
    """A lower-case WordPiece tokenizer in BERT's manner, the same for the same texts.

    Its vocabulary is the special tokens, every letter (alone and inside a word), and the most frequent words. It is
    not trained by `tokenizers`, whose trainer orders ties by chance: a resumed training would meet other numbers. A
    word it does not know falls into letters, a letter it does not know into `[UNK]`.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters = sorted({letter for word in counts for letter in word})
    words = sorted((word for word in counts if len(word) > 1), key=lambda word: (-counts[word], word))
    pieces = [*SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = [*pieces, *words[: max(0, vocab_size - len(pieces))]]
    tokenizer = Tokenizer(
        models.WordPiece({piece: number for number, piece in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def byte_tokenizer_from_texts(
    texts: Iterable[str], special_tokens: tuple[str, ...] = (), vocab_size: int = 1000
) -> PreTrainedTokenizerFast:
    """A tokenizer for a small language model that writes too: lower case, and every text comes back as it was.

    Its vocabulary is the special tokens, all 256 bytes, and the most frequent words with the space before them. A word
    is one token where it is known, and else as few as it can be; numbers fall into digits and points. As above, nothing
    is left to the order in which a trainer meets ties.

    Args:
        texts: what is to be read and written.
        special_tokens: more of them, behind `<pad>`, `<s>` (begins a text) and `</s>` (ends one).
        vocab_size: at most so many tokens, but never fewer than the special ones and the bytes.
    """
    normalizer, splitter = normalizers.Lowercase(), pre_tokenizers.ByteLevel(add_prefix_space=False)
    counts = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text.lower()))
    words = sorted((word for word in counts if len(word) > 1), key=lambda word: (-counts[word], word))
    special = ["<pad>", "<s>", "</s>", *special_tokens]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = words[: max(0, vocab_size - len(special) - len(letters))]
    # One price a piece: the cheapest way to write a word is that of the fewest pieces.
    pieces = [(piece, -1.0) for piece in (*special, *letters, *words)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=list(special_tokens),
        clean_up_tokenization_spaces=False,
    )
