"""The tokenizer from captions: repeatable, and letters for what it has not read."""

from spatial_audio_lm.language.tokenizer import tokenizer_from_texts

TEXTS = ["a dog barking from the left", "The dog, far away!", "rain from behind"]


def test_same_texts_same_tokenizer():
    first, second = (tokenizer_from_texts(TEXTS).get_vocab() for _ in range(2))
    assert first == second and sorted(first.values()) == list(range(len(first)))


def test_words_letters_and_the_unknown():
    tokenizer = tokenizer_from_texts(TEXTS)
    assert tokenizer.tokenize("Dog from LEFT") == ["dog", "from", "left"]
    assert tokenizer.tokenize("big") == ["b", "##i", "##g"]
    assert tokenizer.tokenize("ß") == ["[UNK]"]
    encoded = tokenizer(["dog", "rain from behind"], padding=True)
    assert encoded["attention_mask"] == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])[:3] == ["[CLS]", "dog", "[SEP]"]


def test_the_vocabulary_is_bounded():
    words = tokenizer_from_texts([f"word{number} common" for number in range(500)], vocab_size=100).get_vocab()
    assert len(words) == 100 and "common" in words
