"""From text to numbers and back: tokenizers that are trained on the corpus itself, or come from a local folder.

Both that are trained are byte-level BPE (Sennrich et al. 2016, arXiv:1508.07909; Radford et al. 2019), so no text holds
a word that they do not know: `uncased` reads without case and accents, `cased` keeps every byte.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unlabeled import catalog
from unlabeled.errors import UserError
from unlabeled.formats.text import need_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, CLS, SEP, MASK = range(4)
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 8_000
EIGHTHS = 8  # of a bit, in which the rarity of a token is kept
CHUNK = 1_000  # texts that are counted at a time
FEWEST = 4 + 256  # the special tokens and the bytes
ACCENTS = (  # marks that `uncased` leaves out: Latin, Greek, Cyrillic, Hebrew points, Arabic vowels, emoji's variants
    r"[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670"
    r"\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)

ALONE = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # no spaces there
MARKS = r"\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff"  # vowels and accents inside of words
WORD = rf"[{ALONE}]|[^\W{ALONE}]+(?:[{MARKS}]+[^\W{ALONE}]*)*"


@lru_cache(maxsize=8)
def opened(text: str) -> "Tokenizer":
    """A tokenizer from its JSON, which a run keeps; it reads all of a text and fills nothing up, whatever that says,
    and takes "[MASK]" in one for letters.
    """
    need_text()
    from tokenizers import Tokenizer

    own = Tokenizer.from_str(text)
    own.no_truncation()  # sentence-transformers' folders ask for 128 tokens, no more and no less
    own.no_padding()
    own.encode_special_tokens = True  # as letters: else a text could end or hide its own items
    return own


@cache
def spelled(letters: str) -> str:
    """How a byte-level vocabulary spells some letters: a sign a byte.

    >>> spelled("."), spelled("。")
    ('.', 'ãĢĤ')
    """
    need_text()
    from tokenizers import pre_tokenizers

    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return "".join(part for part, _ in level.pre_tokenize_str(letters))


def made(how: str, texts: Iterable[str]) -> tuple[str, tuple[int, int, int, int]]:
    """A tokenizer's JSON, and its numbers for padding, beginning, end and mask (-1 where it has none).

    Args:
        how: `uncased` or `cased`, with settings as `cased(vocabulary=4000)`; or a local Hugging Face folder.
        texts: what it is trained on.

    Raises:
        UserError: for another word, a vocabulary below 260 or above 60,000, or a folder without a tokenizer.
    """
    need_text()
    if "/" in how or "\\" in how or Path(how).is_dir():
        return of_folder(Path(how))
    spec = catalog.read_spec(how)
    vocabulary = spec.settings.get("vocabulary", VOCABULARY)
    if spec.name not in ("uncased", "cased") or set(spec.settings) - {"vocabulary"}:
        remedy = "take uncased, cased, cased(vocabulary=4000), or a local Hugging Face folder"
        raise UserError(f'there is no tokenizer "{how}"', remedy)
    if not isinstance(vocabulary, int) or not FEWEST <= vocabulary <= 60_000:
        raise UserError(f"a vocabulary of {vocabulary} was asked for", f"give {FEWEST} to 60,000")
    return _trained(spec.name == "cased", vocabulary, texts), (PAD, CLS, SEP, MASK)


def _trained(cased: bool, vocabulary: int, texts: Iterable[str]) -> str:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    if not cased:  # other marks are letters: the vowels of Hindi and Thai, the voice of Japanese syllables
        made.normalizer = normalizers.Sequence(
            [normalizers.NFKD(), normalizers.Replace(Regex(ACCENTS), ""), normalizers.NFC(), normalizers.Lowercase()]
        )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=not cased)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=list(SPECIAL), initial_alphabet=sorted(alphabet),
        show_progress=False,
    )  # fmt: skip
    made.train_from_iterator(texts, trainer)
    return made.to_str()


def of_folder(folder: Path) -> tuple[str, tuple[int, int, int, int]]:
    """The tokenizer of a local Hugging Face folder; nothing is fetched.

    Raises:
        UserError: when the folder holds none, or its number 0 is not for padding.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}", "give a local one; nothing is fetched from the net")
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        text = str(found.backend_tokenizer.to_str())
    except (OSError, ValueError, AttributeError, TypeError, json.JSONDecodeError) as fault:
        reason = (str(fault).splitlines() or [""])[0][:120]
        raise UserError(
            f"{folder} holds no tokenizer that can be read ({reason})", "give one with tokenizer.json"
        ) from None
    ends = found.eos_token_id
    numbers = (found.pad_token_id, found.cls_token_id, found.sep_token_id, found.mask_token_id)
    pad, cls, sep, mask = (-1 if n is None else int(n) for n in numbers)
    if pad > 0:
        raise UserError(
            f"{folder} pads with the number {pad}", "give a model of BERT's or GPT-2's kind, which pads with 0"
        )
    if min(cls, sep) < 0:
        if ends is None:
            raise UserError(f"{folder} has no token for the end of a text", "give a model of BERT's or GPT-2's kind")
        cls, sep = int(ends), int(ends)
    return text, (0, cls, sep, mask)


def rarity(tokenizer: str, texts: Sequence[str]) -> str:
    """How rare each token is in texts, in eighths of a bit, a byte each, written in base 64: 8 is every second token.

    Args:
        tokenizer: its JSON.
        texts: what to count in.
    """
    own = opened(tokenizer)
    counts = np.zeros(own.get_vocab_size(), np.int64)
    for at in range(0, len(texts), CHUNK):
        for read in own.encode_batch_fast(list(texts[at : at + CHUNK]), add_special_tokens=False):
            np.add.at(counts, read.ids, 1)
    bits = -np.log2(np.maximum(counts, 0.5) / max(1, counts.sum()))
    return base64.b64encode(np.minimum(np.round(EIGHTHS * bits), 255).astype(np.uint8).tobytes()).decode()


def shares(written: str) -> np.ndarray:
    """The share of each token (V,) float64 that `rarity` has written.

    >>> shares("CBA=").tolist()
    [0.5, 0.25]
    """
    return np.asarray(0.5 ** (np.frombuffer(base64.b64decode(written), np.uint8) / EIGHTHS))
