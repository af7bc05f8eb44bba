"""Texts that cannot fit are told without tokenising all of them; texts that fit never are."""

import random

import pytest
from helpers.tiny_models import make_tokenizer

from rnagpt.serving.text_bounds import TextBounds

CONTEXT = 9000
WORDS = ["What ", "is ", "this ", "RNA", "? ", "ribosome ", "acid", "\n", "1", "é", "🧬", "zzz"]
TEXTS = {
    "words": "".join(random.Random(0).choices(WORDS, k=12_000)),
    "one letter": "x" * 40_000,
    "one word": "ribosome" * 20_000,
    "spaces": " " * 40_000,
    "sequence": "".join(random.Random(1).choices("ACGU", k=40_000)),
}


class Counting:
    """A tokenizer that says how many letters it was given."""

    def __init__(self, tokenizer):
        self.tokenizer, self.letters = tokenizer, 0
        self.longest_token = max(map(len, tokenizer.get_vocab()))

    def count(self, text):
        self.letters += len(text)
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.fixture(params=["chatml", "llama-3", "mistral"])
def tokenizer(request):
    return Counting(make_tokenizer(request.param))


@pytest.mark.parametrize("name", TEXTS)
def test_the_longest_text_that_fits_is_let_through_and_little_more_is_not(tokenizer, name):
    text = TEXTS[name]

    def tokens(letters):
        return len(tokenizer.tokenizer(text[:letters], add_special_tokens=False)["input_ids"])

    fits, too_long = 1, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if tokens(middle) <= CONTEXT else (fits, middle)
    bounds = TextBounds(tokenizer.count, tokenizer.longest_token, CONTEXT)
    assert not bounds.too_long([text[:fits]])
    assert tokens(len(text)) > 1.1 * CONTEXT
    assert bounds.too_long([text])


def test_little_of_a_long_text_is_looked_at(tokenizer):
    bounds = TextBounds(tokenizer.count, tokenizer.longest_token, 3000)
    assert bounds.too_long(["x" * (bounds.max_letters + 1)])
    assert tokenizer.letters == 0
    assert bounds.too_long(["x" * bounds.max_letters])
    assert 0 < tokenizer.letters <= 8192
    # The room is that of all texts together.
    assert bounds.too_long(["x" * 8192, "y" * (bounds.max_letters - 8191)])
