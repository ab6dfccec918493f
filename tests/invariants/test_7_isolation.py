"""Invariant 7, isolation: a bad document costs itself and none of its neighbours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.runs import (
    problems,
    rows,
    rows_by_document,
    run,
    some_texts,
    write_texts,
)
from support.texts import long_text

from longbert.encoders.backbone import Backbone
from longbert.encoders.batch import WindowBatch
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.fast import FastTokenizer

Settings = dict[str, Any]


SPOILT = "spoilt"
"""A word at which the fakes of the next tests fail."""


class TestInvariant7Isolation:
    @pytest.fixture
    def good(self) -> dict[str, str]:
        return some_texts(4, n_words=80)

    def check(self, tmp_path: Path, good: dict[str, str], settings: Settings) -> dict[str, Any]:
        """Run with and without the bad documents of ``tmp_path / "bad"`` among good ones."""
        run(write_texts(tmp_path / "good", good), tmp_path / "without", **settings)
        write_texts(tmp_path / "bad", good)
        manifest = run(tmp_path / "bad", tmp_path / "with", unit_bytes=1_000_000, **settings)
        found, wanted = rows_by_document(tmp_path / "with"), rows_by_document(tmp_path / "without")
        for name in good:
            for (table, row), (other_table, other) in zip(found[name], wanted[name], strict=True):
                row.pop("source", None)
                other.pop("source", None)
                assert (table, row) == (other_table, other)
        assert problems(tmp_path / "with") == []
        assert manifest["counts"]["documents"] == len(good)
        errors = {row["document_id"]: row for row in rows(tmp_path / "with", "errors")}
        assert manifest["counts"]["errors"] == len(errors) == len(found) - len(good)
        return errors

    def test_documents_that_cannot_be_read(
        self, tmp_path: Path, good: dict[str, str], all_heads: Settings
    ) -> None:
        bad = write_texts(tmp_path / "bad", {"01b.txt": "", "02b.md": " \r\n\t ", "zz.html": ""})
        (bad / "00b.txt").write_bytes(os.urandom(64) + bytes(range(256)) * 4)
        (bad / "03b.txt").symlink_to("nowhere")

        errors = self.check(tmp_path, good, all_heads)

        assert {name: (row["stage"], row["error"]) for name, row in errors.items()} == {
            "00b.txt": ("read", "encoding"),
            "01b.txt": ("plan", "empty"),
            "02b.md": ("tokenize", "no_tokens"),
            "03b.txt": ("plan", "unreadable"),
            "zz.html": ("plan", "empty"),
        }

    def test_a_document_on_which_the_tokenizer_fails(
        self,
        tmp_path: Path,
        good: dict[str, str],
        all_heads: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tokenize = FastTokenizer.tokenize

        def fail(self: FastTokenizer, text: str) -> TokenizedText:
            if SPOILT in text:
                raise RuntimeError(text)
            return tokenize(self, text)

        monkeypatch.setattr(FastTokenizer, "tokenize", fail)
        write_texts(tmp_path / "bad", {"01b.txt": f"it is {SPOILT} for ever"})

        (error,) = self.check(tmp_path, good, all_heads).values()

        assert (error["stage"], error["error"]) == ("tokenize", "RuntimeError")
        assert SPOILT not in error["message"]

    @pytest.mark.parametrize("how", ["raises", "nan"])
    def test_a_document_on_which_the_model_fails(
        self,
        tmp_path: Path,
        good: dict[str, str],
        all_heads: Settings,
        monkeypatch: pytest.MonkeyPatch,
        how: str,
    ) -> None:
        hidden_states = Backbone.hidden_states
        long = long_text(80, seed=1).split()
        bad_text = " ".join([*long[:40], SPOILT, *long[40:]])
        spoilt_ids: set[int] = set()

        def fail(self: Backbone, batch: WindowBatch, **options: Any) -> tuple[torch.Tensor, ...]:
            tokens = self.tokenizer.tokenize(SPOILT).ids.tolist()
            rows_ = [str(tokens)[1:-1] in str(row.tolist()) for row in batch.input_ids]
            spoilt_ids.update(tokens)
            states = hidden_states(self, batch, **options)
            if any(rows_) and how == "raises":
                raise RuntimeError("out of order")
            mask = torch.tensor(rows_)[:, None, None]
            return tuple(torch.where(mask, torch.full_like(one, np.nan), one) for one in states)

        monkeypatch.setattr(Backbone, "hidden_states", fail)
        write_texts(tmp_path / "bad", {"01b.txt": bad_text})

        (error,) = self.check(tmp_path, good, all_heads).values()

        assert error["document_id"] == "01b.txt"
        wanted = "RuntimeError" if how == "raises" else "not_finite"
        assert (error["stage"], error["error"]) == ("encode", wanted)
