"""Small tokenizers of each family, trained on the texts of ``support.texts``.

Every one is an object of the class that real checkpoints name, with its own normaliser,
pre-tokeniser, special tokens and their places in the vocabulary; only the vocabulary is small.

All are trained as byte-pair encodings, for that trainer alone gives the same pieces in every
process; a WordPiece or Unigram vocabulary is made from those.
"""

from __future__ import annotations

import collections
import json
import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AlbertTokenizer,
    BertTokenizer,
    DebertaV2Tokenizer,
    DistilBertTokenizer,
    MPNetTokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)

from .charsmap import nmt_nfkc_charsmap
from .texts import SCRIPTS, long_text

_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


@lru_cache(maxsize=1)
def corpus() -> tuple[str, ...]:
    """Lines to train on: English for the most part, and some of every script."""
    return tuple(long_text(4000, seed=1).split("\n\n")) + SCRIPTS * 3


def save_tokenizer(folder: Path, family: str, *, limit_tokens: int | None, **options: Any) -> int:
    """Write the tokenizer files of ``family`` into ``folder``.

    Args:
        limit_tokens: ``model_max_length`` in the tokenizer's files; None leaves it out, as many
            real checkpoints do.
        options: further keyword arguments of the tokenizer, such as ``normalization`` of BERTweet.

    Returns:
        The size of the vocabulary, added tokens included.
    """
    if family == "bertweet":
        return _save_bertweet(folder, limit_tokens, **options)
    tokenizer = _TOKENIZERS[family](**options)
    if limit_tokens is not None:
        tokenizer.model_max_length = limit_tokens
    tokenizer.save_pretrained(folder)
    if limit_tokens is None:
        file = folder / "tokenizer_config.json"
        settings = json.loads(file.read_text(encoding="utf-8"))
        del settings["model_max_length"]
        file.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return len(tokenizer)


def _wordpiece(
    cls: Any, special: tuple[str, ...], last: tuple[str, ...] = (), **options: Any
) -> Any:
    vocabulary = _wordpiece_vocabulary(cls, special, last, json.dumps(options, sort_keys=True))
    return cls(vocab=dict(vocabulary), **options)


@lru_cache
def _wordpiece_vocabulary(
    cls: Any, special: tuple[str, ...], last: tuple[str, ...], options: str
) -> dict[str, int]:
    words = _words(cls(**json.loads(options)).backend_tokenizer)
    marks = _Marks()
    trainee = _train_bpe([word[0] + marks.mark(word[1:]) for word in words], n_pieces=1200)
    pieces = [
        marks.unmark(piece) if piece[0] not in marks else "##" + marks.unmark(piece)
        for piece, _ in sorted(trainee.get_vocab().items(), key=lambda item: item[1])
    ]
    return {piece: i for i, piece in enumerate([*special, *pieces, *last])}


def _words(template: tokenizers.Tokenizer) -> list[str]:
    """The words of the corpus as the tokenizer normalises and splits them."""
    lines = corpus()
    if template.normalizer is not None:
        lines = tuple(template.normalizer.normalize_str(line) for line in lines)
    return [
        word for line in lines for word, _ in template.pre_tokenizer.pre_tokenize_str(line) if word
    ]


def _train_bpe(words: list[str], *, n_pieces: int) -> tokenizers.Tokenizer:
    trainee = tokenizers.Tokenizer(models.BPE())
    trainee.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    trainer = trainers.BpeTrainer(vocab_size=n_pieces, show_progress=False)
    trainee.train_from_iterator(["\n".join(words)], trainer)
    return trainee


class _Marks(dict[str, str]):
    """Stand-ins from the private use area for characters in a certain place of a word."""

    def mark(self, characters: str) -> str:
        known = {character: mark for mark, character in self.items()}
        for character in characters:
            if character not in known:
                known[character] = chr(0xE000 + len(self))
                self[known[character]] = character
        return "".join(known[character] for character in characters)

    def unmark(self, piece: str) -> str:
        return "".join(self.get(character, character) for character in piece)


def _byte_level(special: tuple[str, ...], **options: Any) -> tuple[dict[str, int], list]:
    trainee = tokenizers.Tokenizer(models.BPE())
    trainee.normalizer = options.get("normalizer")
    trainee.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=[*special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    trainee.train_from_iterator(corpus(), trainer)
    model = json.loads(trainee.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


@lru_cache
def _roberta_vocabulary() -> tuple[dict[str, int], list]:
    vocabulary, merges = _byte_level(_ROBERTA_SPECIAL)
    return vocabulary | {"<mask>": len(vocabulary)}, merges


def _roberta(**options: Any) -> Any:
    vocabulary, merges = _roberta_vocabulary()
    return RobertaTokenizer(vocab=dict(vocabulary), merges=list(merges), **options)


@lru_cache
def _modernbert_vocabulary() -> tuple[dict[str, int], list]:
    return _byte_level(("<|padding|>", "<|endoftext|>"), normalizer=normalizers.NFC())


def _modernbert(**options: Any) -> Any:
    vocabulary, merges = _modernbert_vocabulary()
    backend = tokenizers.Tokenizer(models.BPE(vocab=dict(vocabulary), merges=list(merges)))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    # Runs of spaces are tokens of their own, longest first, and added ones.
    backend.add_tokens([tokenizers.AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    backend.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]"])
    backend.add_special_tokens([tokenizers.AddedToken("[MASK]", lstrip=True)])
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    names = ("unk", "cls", "sep", "pad", "mask")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{name}_token": f"[{name.upper()}]" for name in names},
        **options,
    )


@lru_cache
def _unigram_pieces(cls: Any, options: str) -> tuple[tuple[str, float], ...]:
    """Pieces and their log probabilities, without special tokens, likeliest first."""
    extra = {} if cls is DebertaV2Tokenizer else {"_spm_precompiled_charsmap": nmt_nfkc_charsmap()}
    words = _words(cls(**json.loads(options), **extra).backend_tokenizer)
    # SentencePiece lets no piece cross from letters to punctuation.
    words = [part for word in words for part in re.findall(r"▁?\w+|▁?[^\w▁]|▁", word)]
    trainee = _train_bpe(words, n_pieces=1000)
    counts = collections.Counter(dict.fromkeys(trainee.get_vocab(), 1))
    for word in words:
        counts.update(trainee.encode(word).tokens)
    total = counts.total()
    pieces = [(piece, round(math.log(count / total), 4)) for piece, count in counts.items()]
    return tuple(sorted(pieces, key=lambda item: (-item[1], item[0])))


def _xlm_roberta(**options: Any) -> Any:
    pieces = _unigram_pieces(XLMRobertaTokenizer, json.dumps(options, sort_keys=True))
    special = [(token, 0.0) for token in _ROBERTA_SPECIAL]
    return XLMRobertaTokenizer(
        vocab=[*special, *pieces, ("<mask>", 0.0)],
        _spm_precompiled_charsmap=nmt_nfkc_charsmap(),
        **options,
    )


def _albert(**options: Any) -> Any:
    pieces = _unigram_pieces(AlbertTokenizer, json.dumps(options, sort_keys=True))
    special = [(token, 0.0) for token in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")]
    return AlbertTokenizer(
        vocab=[*special, *pieces], _spm_precompiled_charsmap=nmt_nfkc_charsmap(), **options
    )


def _deberta(**options: Any) -> Any:
    pieces = _unigram_pieces(DebertaV2Tokenizer, json.dumps(options, sort_keys=True))
    special = [(token, 0.0) for token in ("[PAD]", "[CLS]", "[SEP]", "[UNK]")]
    return DebertaV2Tokenizer(vocab=[*special, *pieces, ("[MASK]", 0.0)], unk_id=3, **options)


def _bert(*, cased: bool = False, **options: Any) -> Any:
    return _wordpiece(BertTokenizer, _BERT_SPECIAL, do_lower_case=not cased, **options)


def _distilbert(**options: Any) -> Any:
    return _wordpiece(DistilBertTokenizer, _BERT_SPECIAL, do_lower_case=True, **options)


def _mpnet(**options: Any) -> Any:
    special = (*_ROBERTA_SPECIAL, "[UNK]")
    return _wordpiece(MPNetTokenizer, special, ("<mask>",), **options)


_TOKENIZERS = {
    "bert": _bert,
    "bert-cased": lambda **options: _bert(cased=True, **options),
    "bert-chinese": _bert,
    "distilbert": _distilbert,
    "electra": _bert,
    "mpnet": _mpnet,
    "roberta": _roberta,
    "modernbert": _modernbert,
    "albert": _albert,
    "xlm-roberta": _xlm_roberta,
    "deberta-v2": _deberta,
    "deberta-v3": _deberta,
}


@lru_cache
def _bertweet_files() -> tuple[str, str, int]:
    """``vocab.txt`` and ``bpe.codes`` in the formats of fairseq and fastBPE, and the size."""
    words = [word for line in corpus() for word in line.split()]
    marks = _Marks()
    words = [word[:-1] + marks.mark(word[-1]) for word in words]
    trainee = _train_bpe(words, n_pieces=900)
    merges = json.loads(trainee.to_str())["model"]["merges"]
    alphabet = {character for line in corpus() for character in line if not character.isspace()}
    counts = collections.Counter(alphabet | {f"{character}@@" for character in alphabet})
    for word in words:
        *inner, last = trainee.encode(word).tokens
        counts.update([*(f"{piece}@@" for piece in inner), marks.unmark(last)])
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    vocabulary = "".join(f"{token} {count}\n" for token, count in ordered)
    codes = ""
    for i, merge in enumerate(merges):
        a, b = (marks.unmark(part) + "</w>" * (part[-1] in marks) for part in merge)
        codes += f"{a} {b} {len(merges) - i}\n"
    return vocabulary, codes, len(_ROBERTA_SPECIAL) + len(ordered)


def _save_bertweet(
    folder: Path, limit_tokens: int | None, *, normalization: bool = False, **options: Any
) -> int:
    # Written by hand: what the tokenizer itself saves lacks the counts and loads as other merges.
    vocabulary, codes, size = _bertweet_files()
    (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    (folder / "bpe.codes").write_text(codes, encoding="utf-8")
    (folder / "added_tokens.json").write_text(json.dumps({"<mask>": size}))
    settings = {
        "normalization": normalization,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "tokenizer_class": "BertweetTokenizer",
        **options,
    }
    if limit_tokens is not None:
        settings["model_max_length"] = limit_tokens
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    return size + 1
