"""Every family of models through the whole command: three heads on one backbone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from support.encoding import token_windows
from support.hf_entities import promised
from support.models import FAMILIES
from support.runs import command, problems, rows, run, write_texts
from support.texts import HOSTILE_TEXTS, SCRIPTS, long_text
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

import longbert
from longbert.config import ENTITY_STRATEGIES, ModelConfig
from longbert.core.batching import padded_length
from longbert.core.scores import softmax
from longbert.encoders.checkpoint.load import Checkpoint, load_checkpoint
from longbert.encoders.checkpoint.locate import find_model
from longbert.encoders.models import load_models
from longbert.encoders.tokenizers.fastbpe import FastBpeTokenizer

Models = Callable[..., Path]

WINDOW, PASSAGE = 48, 10
# To try out its own limit of 8,192 positions takes seconds.
OPTIONS = {"modernbert": {"max_position_embeddings": 512}}
NOT_BATCH_INVARIANT = ("deberta-v2",)
"""Its convolution is computed in another order in another batch."""

SHORT = {
    "a.txt": "Maria Alvarez has left London for Kyoto.",
    "b.txt": "It isn't.",
    "c.txt": "Rotterdam",
    "d.txt": "The final report cost 30% more, and AT&T paid.",
}
LONG = {
    "long.txt": long_text(150, seed=4),
    "scripts.txt": "\n".join(SCRIPTS),
    **{f"{hostile.name}.md": hostile.text[:300] for hostile in HOSTILE_TEXTS[::4]},
}


@dataclass(frozen=True)
class Done:
    """Models of one family, and a run of them all over the same documents."""

    family: str
    embed: Path
    classify: Path
    ner: Path
    docs: Path
    output: Path
    manifest: dict[str, Any]

    def tokenizer(self) -> Any:
        return AutoTokenizer.from_pretrained(self.embed)

    def padded(self, text: str) -> dict[str, torch.Tensor]:
        """The text as transformers itself encodes it, padded as windows are."""
        tokenizer = self.tokenizer()
        n_positions = len(tokenizer(text)["input_ids"])
        assert n_positions <= WINDOW
        length = padded_length(n_positions, limit=WINDOW)
        encoded = tokenizer(text, padding="max_length", max_length=length, return_tensors="pt")
        return dict(encoded)

    def rows_of(self, table: str, document_id: str) -> list[dict[str, Any]]:
        return [row for row in rows(self.output, table) if row["document_id"] == document_id]


@pytest.fixture(scope="module")
def done(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Done]:
    @lru_cache
    def build(family: str) -> Done:
        place = tmp_path_factory.mktemp(family)
        options = {"backbone_seed": 5, **OPTIONS.get(family, {})}
        embed = models(family, seed=1, sentence_transformers={"pooling": "mean"}, **options)
        classify = models(family, task="classify", seed=2, **options)
        ner = models(family, task="ner", seed=3, **options)
        docs = write_texts(place / "docs", SHORT | LONG)
        manifest = run(docs, place / "out", **settings(family, embed, classify, ner))
        return Done(family, embed, classify, ner, docs, place / "out", manifest)

    return build


def settings(family: str, embed: Path, classify: Path, ner: Path) -> dict[str, Any]:
    return {
        "embed": embed,
        "classify": [str(classify)],
        "ner": [str(ner)],
        "classify_pooling": "first",
        "entity_strategy": "simple",
        "window": WINDOW,
        "passage": PASSAGE,
        "unit_bytes": 100_000,
        # One window at a time has the bits that transformers gives for it alone.
        **({"batch_tokens": 1} if family in NOT_BATCH_INVARIANT else {}),
    }


@pytest.mark.parametrize("family", FAMILIES)
class TestEveryFamily:
    def test_heads_share_one_pass(self, done: Callable[[str], Done], family: str) -> None:
        one = done(family)
        (backbone,) = one.manifest["rows"]["settings"]["passes"]
        assert len(backbone["heads"]) == 3
        assert backbone["batch_invariant"] == (family not in NOT_BATCH_INVARIANT)
        # Where batches decide on bits they belong to what a later run must agree with.
        fixed = one.manifest["rows"]["settings"]["batch_tokens"] is not None
        assert fixed == (family in NOT_BATCH_INVARIANT)

    def test_classes_are_those_of_transformers(
        self, done: Callable[[str], Done], family: str
    ) -> None:
        one = done(family)
        model = AutoModelForSequenceClassification.from_pretrained(one.classify).eval()
        for name, text in SHORT.items():
            with torch.no_grad():
                logits = model(**one.padded(text)).logits[0].numpy()
            found = one.rows_of("classifications", name)
            assert [row["label"] for row in found] == list(model.config.id2label.values())
            scores = np.array([row["score"] for row in found], dtype=np.float32)
            assert np.array_equal(scores, softmax(logits)), name
            assert [row["predicted"] for row in found] == (scores == scores.max()).tolist()

    def test_token_logits_are_those_of_transformers(
        self, done: Callable[[str], Done], family: str
    ) -> None:
        one = done(family)
        model = AutoModelForTokenClassification.from_pretrained(one.ner).eval()
        loaded = load_models(
            ModelConfig(embed="none", ner=(str(one.ner),), precision="float32", window=WINDOW)
        )
        (pass_,) = loaded.passes
        for text in SHORT.values():
            inputs = one.padded(text)
            tokens = pass_.tokenizer.tokenize(text)
            windows = list(token_windows(tokens, pass_.split_tokens(tokens)))
            batch = pass_.backbone.batch(windows, inputs["input_ids"].shape[1])
            assert batch.input_ids.tolist() == inputs["input_ids"].tolist()
            assert batch.attention_mask.tolist() == inputs["attention_mask"].tolist()
            states = pass_.backbone.hidden_states(batch)
            tagger = pass_.heads[0].tagger  # type: ignore[attr-defined]
            reduced = tagger.reduce(states, batch, pass_.backbone.device)
            (found,) = tagger.content_logits(pass_.backbone.device.download(reduced), batch)
            first = batch.content_starts[0]
            with torch.no_grad():
                expected = model(**inputs).logits[0, first : first + len(tokens)].numpy()
            assert np.array_equal(found, expected)

    def test_entities_are_those_of_the_pipeline(
        self, done: Callable[[str], Done], family: str
    ) -> None:
        one = done(family)
        reference = pipeline("token-classification", model=str(one.ner), device="cpu")
        n_entities = 0
        for name, text in SHORT.items():
            found = one.rows_of("entities", name)
            expected = reference(text, aggregation_strategy="simple")
            if reference.tokenizer.is_fast:
                left = list(promised(text, expected))
                assert [(row["label"], row["char_start"], row["char_end"]) for row in found] == [
                    (label, start, end) for label, start, end, _ in left
                ]
                scores = [score for *_, score in left]
            else:
                assert [row["label"] for row in found] == [one["entity_group"] for one in expected]
                scores = [float(one["score"]) for one in expected]
            assert [row["score"] for row in found] == pytest.approx(scores, rel=1e-5)
            if not reference.tokenizer.is_fast:
                # It knows no offsets, but the tokens.
                words = ["".join(re.split("@@$| ", entity["word"])) for entity in expected]
                unknown = reference.tokenizer.unk_token
                for row, word in zip(found, words, strict=True):
                    assert unknown in word or row["text"].replace(" ", "") == word
            n_entities += len(found)
        assert n_entities > 3

    def test_embeddings_are_those_of_sentence_transformers(
        self, done: Callable[[str], Done], family: str
    ) -> None:
        one = done(family)
        reference = SentenceTransformer(str(one.embed), device="cpu")
        expected = reference.encode(list(SHORT.values()), batch_size=1)
        for name, vector in zip(SHORT, expected, strict=True):
            (row,) = one.rows_of("documents", name)
            assert np.abs(np.array(row["embedding"], dtype=np.float32) - vector).max() < 1e-6

    def test_long_documents_are_whole(self, done: Callable[[str], Done], family: str) -> None:
        one = done(family)
        assert problems(one.output) == []
        assert rows(one.output, "errors") == []
        documents = {row["document_id"]: row for row in rows(one.output, "documents")}
        assert documents.keys() == SHORT.keys() | LONG.keys()
        assert documents["long.txt"]["n_windows"] > 3
        for name, row in documents.items():
            text = (SHORT | LONG)[name]
            assert row["n_chars"] == row["n_chars_covered"] == len(text), name
            passages = one.rows_of("passages", name)
            spans = [(passage["char_start"], passage["char_end"]) for passage in passages]
            assert (spans[0][0], spans[-1][1]) == (0, len(text))
            assert all(left[1] == right[0] for left, right in pairwise(spans))
            assert "".join(passage["text"] for passage in passages) == text
        for row in rows(one.output, "entities"):
            text = (SHORT | LONG)[row["document_id"]]
            assert row["text"] == text[row["char_start"] : row["char_end"]].strip() != ""
        assert any(row["document_id"] == "long.txt" for row in rows(one.output, "entities"))

    @pytest.mark.parametrize("declares", [True, False])
    def test_limits_come_from_the_model(self, models: Models, family: str, declares: bool) -> None:
        limit = {"bertweet": 128, "modernbert": 8192}.get(family, 512)
        folder = models(family, declare_limit=declares)
        checkpoint = load(folder)
        assert checkpoint.limit == limit
        config = AutoConfig.from_pretrained(folder)
        positions = config.max_position_embeddings
        offset = family in ("roberta", "bertweet", "mpnet", "xlm-roberta")
        assert positions == limit + 2 * offset
        reference = AutoTokenizer.from_pretrained(folder)
        tokenizer = checkpoint.tokenizer
        content = reference("some text", add_special_tokens=False)["input_ids"]
        whole = reference("some text")["input_ids"]
        assert [*tokenizer.prefix, *content, *tokenizer.suffix] == whole
        assert tokenizer.pad_id == reference.pad_token_id == config.pad_token_id
        assert tokenizer.pads_left == (reference.padding_side == "left")


def load(folder: Path) -> Checkpoint:
    config = ModelConfig(embed=str(folder))
    found = find_model(str(folder), task="embed", config=config)
    return load_checkpoint(found, "AutoModel", config)


@pytest.mark.parametrize("family", ["roberta", "bertweet", "mpnet", "xlm-roberta", "albert"])
def test_the_longest_window_is_filled(models: Models, family: str) -> None:
    folder = models(family, max_position_embeddings=34 if family != "albert" else 32)
    text = long_text(60)
    encoder = longbert.load(embed=str(folder), window=32, precision="float32")
    result = encoder(text)
    assert result.n_windows > 1
    assert result.n_chars_covered == len(text)
    with pytest.raises(longbert.ConfigError, match=r"window must be in \[3, 32\] for embedding, "):
        longbert.load(embed=str(folder), window=33)


@pytest.mark.parametrize("family", ["roberta", "modernbert"])
def test_padding_is_on_the_side_that_the_tokenizer_says(models: Models, family: str) -> None:
    files = {"pooling": "mean"}
    options = {"tokenizer": {"padding_side": "left"}, **OPTIONS.get(family, {})}
    folder = models(family, sentence_transformers=files, **options)
    encoder = longbert.load(embed=str(folder), precision="float32")
    (pass_,) = encoder.models.passes
    tokens = pass_.tokenizer.tokenize("Rotterdam")
    windows = list(token_windows(tokens, pass_.split_tokens(tokens)))
    (mask,) = pass_.backbone.batch(windows, 24).attention_mask.tolist()
    assert mask == sorted(mask)
    reference = SentenceTransformer(str(folder), device="cpu")
    for text in SHORT.values():
        vector = encoder(text).embedding
        assert vector is not None
        assert np.abs(vector - reference.encode(text)).max() < 1e-6


@pytest.mark.parametrize("strategy", ENTITY_STRATEGIES)
def test_no_entity_is_a_lone_space(models: Models, strategy: str) -> None:
    """RoBERTa has tokens of white space alone, and their spans are empty."""
    folder = models("roberta", task="ner", labels=("PER", "O"), seed=5)
    text = "Maria   met  \U0001f600 王   伟 " * 5
    encoder = longbert.load(
        embed="none", ner=str(folder), window=WINDOW, entity_strategy=strategy, precision="float32"
    )
    (pass_,) = encoder.models.passes
    offsets = pass_.tokenizer.tokenize(text).offsets
    assert (offsets[:, 0] == offsets[:, 1]).any()
    entities = encoder(text).entities
    assert entities
    assert all(one.text == text[one.char_start : one.char_end] != "" for one in entities)


def test_bertweet_with_the_files_that_it_is_published_with(models: Models, tmp_path: Path) -> None:
    """No file about the tokenizer: its class stands in config.json, its limit nowhere."""
    folder = Path(shutil.copytree(models("bertweet", declare_limit=False), tmp_path / "bertweet"))
    (folder / "tokenizer_config.json").unlink()
    checkpoint = load(folder)
    assert checkpoint.limit == 128
    assert isinstance(checkpoint.tokenizer, FastBpeTokenizer)
    whole = load(models("bertweet"))
    text = LONG["long.txt"]
    expected = whole.tokenizer.tokenize(text)
    assert checkpoint.tokenizer.tokenize(text).ids.tolist() == expected.ids.tolist()
    assert checkpoint.backbone_digest == whole.backbone_digest


def test_phobert_works_like_bertweet(models: Models) -> None:
    tokenizer = {"tokenizer_class": "PhobertTokenizer"}
    folder = models("bertweet", task="ner", tokenizer=tokenizer, max_position_embeddings=50)
    encoder = longbert.load(embed=str(folder), ner=str(folder), window=WINDOW, precision="float32")
    (pass_,) = encoder.models.passes
    reference = AutoTokenizer.from_pretrained(folder)
    assert type(reference).__name__ == "PhobertTokenizer"
    text = LONG["long.txt"]
    result = encoder(text)
    ids = reference(text, add_special_tokens=False, verbose=False)["input_ids"]
    assert pass_.tokenizer.tokenize(text).ids.tolist() == ids
    assert result.n_tokens == len(ids)
    assert result.n_windows > 3
    assert result.n_chars_covered == len(text)
    assert result.entities
    assert all(one.text == text[one.char_start : one.char_end] for one in result.entities)


@pytest.mark.slow
def test_the_command_gives_the_same_rows(done: Callable[[str], Done], tmp_path: Path) -> None:
    one = done("bertweet")
    result = command(
        *("run", "--input", one.docs, "--output", tmp_path / "out", "--precision", "float32"),
        *("--embed", one.embed, "--classify", one.classify, "--ner", one.ner),
        *("--classify-pooling", "first", "--entity-strategy", "simple"),
        *("--window", str(WINDOW), "--passage", str(PASSAGE), "--runner", "none"),
    )
    assert result.returncode == 0, result.stderr
    for table in ("documents", "passages", "entities", "classifications", "errors"):
        assert rows(tmp_path / "out", table) == rows(one.output, table)
    assert problems(tmp_path / "out") == []
