"""The word-level tokenizer of the tiny PaliGemma: English and Korean words, and 1024 location tokens.

Ids: `<pad>` 0, `<eos>` 1, `<bos>` 2, `<unk>` 3, `<image>` 4, newline 5, words, `<loc0000>`..`<loc1023>`.
Text is read case-insensitively (lowercase, NFC); `decode` returns what PaliGemma would print,
`<loc0500><loc0300><loc0700><loc0600> red cup`.
"""

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from edge.goals.words import COLOURS, KINDS, KOREAN

SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>", "<image>")
PAD, EOS, BOS, UNK, IMAGE = range(5)
NEWLINE = "\n"
LOC_COUNT = 1024
_COMMANDS = ("detect", "caption", "main", "en", "none", ";")
_SPACE = "▁"  # stands for the blank before a word, as in PaliGemma's own vocabulary


def loc_token(bin_index: int) -> str:
    """Name the location token of one of 1024 positions along a side of the image."""
    return f"<loc{bin_index:04d}>"


def _normalizer() -> normalizers.Normalizer:
    # 빨간색 ("the colour red") and 빨간 ("red") are one word to the model.
    colour_suffix = Regex("(?<=" + "|".join(KOREAN[colour] for colour in COLOURS) + ")색")
    return normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Lowercase(),
            normalizers.Replace(colour_suffix, ""),
            normalizers.Replace(Regex(r"[ \t]+"), " "),
            normalizers.Strip(),
        ]
    )


def build_tokenizer() -> Tokenizer:
    """Build the tokenizer, the same one at each call. Unknown words become `<unk>`."""
    words = (*_COMMANDS, *KINDS, *COLOURS, *KOREAN.values())
    tokens = [*SPECIALS, NEWLINE, *(_SPACE + word for word in words), *map(loc_token, range(LOC_COUNT))]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(";", "isolated"),
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIALS])
    plain = [NEWLINE, *map(loc_token, range(LOC_COUNT))]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])
    return tokenizer
