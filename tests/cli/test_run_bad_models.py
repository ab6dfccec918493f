"""Models that are refused before anything is written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.commands import Call, refuse, run_arguments
from support.runs import rows


class TestModels:
    @pytest.fixture
    def copy(self, small: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(small, tmp_path / "model"))

    def check(
        self,
        call: Call,
        docs: Path,
        message: str,
        *,
        embed: Path | str = "none",
        options: list[str] | None = None,
    ) -> None:
        output = docs.parent / "out"
        arguments = [*run_arguments(docs, output, embed), *(options or [])]
        refuse(call, arguments, message, output=output)

    def test_no_such_folder(self, call: Call, docs: Path) -> None:
        self.check(
            call, docs,
            r"model './nowhere' is neither packaged \(minilm, entities-en, sentiment-en\) nor a",
            embed="./nowhere",
        )  # fmt: skip
        self.check(call, docs, "did you mean 'minilm'", embed="minilmm")

    def test_a_file(self, call: Call, docs: Path, copy: Path) -> None:
        weights = copy / "model.safetensors"
        self.check(call, docs, "model.safetensors is a file: name the folder", embed=weights)

    def test_no_configuration(self, call: Call, docs: Path, copy: Path) -> None:
        (copy / "config.json").unlink()
        self.check(call, docs, "model is no model folder: it has no config.json", embed=copy)
        (copy / "config.json").write_text("{")
        self.check(call, docs, r"config.json cannot be read as JSON .*restore", embed=copy)

    def test_no_weights(self, call: Call, docs: Path, copy: Path) -> None:
        (copy / "model.safetensors").unlink()
        self.check(call, docs, "model has no weights: model.safetensors is missing", embed=copy)

    def test_weights_cut_short(self, call: Call, docs: Path, copy: Path) -> None:
        weights = copy / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        self.check(call, docs, "model cannot be loaded from", embed=copy)

    def test_pickled_weights_only(
        self, call: Call, docs: Path, copy: Path, small: Path, tmp_path: Path
    ) -> None:
        weights = copy / "model.safetensors"
        torch.save(load_file(weights), copy / "pytorch_model.bin")
        weights.unlink()
        message = "pickled weights only, and loading a pickle can run any code: .*--trust-pickle"
        self.check(call, docs, message, embed=copy)

        result = call(*run_arguments(docs, tmp_path / "pickle", copy), "--trust-pickle")
        assert result.exit_code == 0, result.stderr
        assert call(*run_arguments(docs, tmp_path / "safe", small)).exit_code == 0
        assert rows(tmp_path / "pickle", "passages") == rows(tmp_path / "safe", "passages")

    def test_weights_that_are_not_finite(self, call: Call, docs: Path, copy: Path) -> None:
        weights: dict[str, Any] = load_file(copy / "model.safetensors")
        name = next(name for name in sorted(weights) if name.endswith("query.weight"))
        weights[name][0, 0] = float("nan")
        save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
        self.check(call, docs, "the weight .*query.weight holds NaN or infinity", embed=copy)

    def test_vectors_of_zeros_are_counted(
        self, call: Call, docs: Path, copy: Path, tmp_path: Path
    ) -> None:
        weights: dict[str, Any] = load_file(copy / "model.safetensors")
        last = max(name for name in weights if name.endswith("output.LayerNorm.weight"))
        for name in (last, last.replace("weight", "bias")):
            weights[name].zero_()
        save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
        result = call(*run_arguments(docs, tmp_path / "zeros", copy))
        assert result.exit_code == 0
        tables = [rows(tmp_path / "zeros", table) for table in ("documents", "passages")]
        n_vectors = sum(map(len, tables))
        assert not any(any(row["embedding"]) for table in tables for row in table)
        assert (
            f"warning: {n_vectors} vectors of documents or passages with nothing" in result.stderr
        )

    def test_a_tokenizer_that_does_not_fit(self, call: Call, docs: Path, copy: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(copy)
        n_ids = len(tokenizer)
        tokenizer.add_tokens(["frobnicate", "gyre"])
        tokenizer.save_pretrained(copy)
        message = f"tokenizer has ids up to {n_ids + 1}, but the model has only {n_ids} embeddings"
        self.check(call, docs, message, embed=copy)

    def test_no_tokenizer(self, call: Call, docs: Path, copy: Path) -> None:
        for path in copy.iterdir():
            if "token" in path.name or "vocab" in path.name:
                path.unlink()
        self.check(call, docs, "model has no tokenizer: copy the files", embed=copy)

    @pytest.mark.parametrize(("task", "given"), [("classify", "ner"), ("ner", "classify")])
    def test_another_kind_of_head(
        self, call: Call, docs: Path, models: Callable[..., Path], task: str, given: str
    ) -> None:
        model = models("bert", task=task)
        message = f"was given as --{given}, but its config.json names Bert.*: give it as --{task}"
        self.check(call, docs, message, options=[f"--{given}", str(model)])

    def test_no_head(self, call: Call, docs: Path, models: Callable[..., Path]) -> None:
        options = ["--ner", str(models("bert"))]
        self.check(
            call, docs, "--ner needs a checkpoint of ForTokenClassification", options=options
        )

    @pytest.mark.parametrize(
        ("config", "what"),
        [
            ({"is_decoder": True}, r"model is a decoder \(bert\)"),
            ({"architectures": ["BertForCausalLM"]}, "is a decoder"),
            ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, r"decoder \(gpt2\)"),
            ({"architectures": ["MistralModel"], "model_type": "mistral"}, r"decoder \(mistral\)"),
            ({"is_encoder_decoder": True, "model_type": "t5"}, r"an encoder-decoder \(t5\)"),
            ({"architectures": ["BartForConditionalGeneration"]}, "is an encoder-decoder"),
            ({"architectures": ["T5EncoderModel"], "model_type": "t5"}, r"-decoder \(t5\)"),
            ({"architectures": [], "model_type": "umt5"}, r"an encoder-decoder \(umt5\)"),
            ({"architectures": [], "model_type": "bart"}, r"an encoder-decoder \(bart\)"),
            ({"architectures": [], "model_type": "marian"}, r"an encoder-decoder \(marian\)"),
            ({"architectures": [], "model_type": "gpt2"}, r"model is a decoder \(gpt2\)"),
        ],
    )
    def test_no_encoder(
        self, call: Call, docs: Path, copy: Path, config: dict[str, Any], what: str
    ) -> None:
        file = copy / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | config))
        self.check(call, docs, f"{what}.*use an encoder such as BERT", embed=copy)

    @pytest.fixture
    def tagger(self, models: Callable[..., Path], tmp_path: Path) -> Path:
        return Path(shutil.copytree(models("bert", task="ner"), tmp_path / "tagger"))

    def edit_weights(self, folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
        weights: dict[str, Any] = load_file(folder / "model.safetensors")
        edit(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    def test_a_head_that_is_not_finite(self, call: Call, docs: Path, tagger: Path) -> None:
        self.edit_weights(tagger, lambda weights: weights["classifier.weight"].fill_(torch.inf))
        message = "tagger: the weight classifier.weight holds NaN or infinity"
        self.check(call, docs, message, options=["--ner", str(tagger)])

    @pytest.mark.parametrize("shape", [(5, 32), (7, 16)])
    def test_a_head_whose_width_does_not_fit(
        self, call: Call, docs: Path, tagger: Path, shape: tuple[int, int]
    ) -> None:
        self.edit_weights(tagger, lambda w: w.update({"classifier.weight": torch.zeros(shape)}))
        found, wanted = re.escape(str(shape)), re.escape("(7, 32)")
        message = f"the weight classifier.weight has the shape {found}, but .* ask for {wanted}"
        self.check(call, docs, message, options=["--ner", str(tagger)])

    def test_a_head_that_lacks_a_weight(self, call: Call, docs: Path, tagger: Path) -> None:
        self.edit_weights(tagger, lambda weights: weights.pop("classifier.bias"))
        message = "tagger lacks the weights classifier.bias, which .*: use a checkpoint that was"
        self.check(call, docs, message, options=["--ner", str(tagger)])

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ({"0": "LABEL_0", "1": "LABEL_1"}, "the labels LABEL_0, LABEL_1 are no tagging scheme"),
            ({"1": "O", "2": "B-PER"}, "every logit by its number from 0, got 1, 2: write"),
            ({"0": "O", "B-PER": "1"}, "by its number from 0, got 0, B-PER: write"),
            (["O", "PER"], "by its number from 0, got list: write"),
            ({"0": "O", "1": None}, "must be strings of which no two are equal, got None: name"),
            ({"0": "O", "1": "O"}, "must be strings of which no two are equal, got 'O': name"),
        ],
    )
    def test_labels_that_are_no_scheme(
        self, call: Call, docs: Path, models: Callable[..., Path], tmp_path: Path,
        labels: Any, message: str,
    ) -> None:  # fmt: skip
        folder = tmp_path / "two"
        shutil.copytree(models("bert", task="ner", labels=("O", "PER")), folder)
        config = json.loads((folder / "config.json").read_text())
        del config["label2id"]
        (folder / "config.json").write_text(json.dumps(config | {"id2label": labels}))
        self.check(call, docs, message, options=["--ner", str(folder)])

    def test_a_head_of_an_unknown_kind(
        self, call: Call, docs: Path, models: Callable[..., Path], tmp_path: Path
    ) -> None:
        folder = tmp_path / "kind"
        shutil.copytree(models("bert", task="classify"), folder)
        config = json.loads((folder / "config.json").read_text()) | {"problem_type": "ranking"}
        (folder / "config.json").write_text(json.dumps(config))
        message = "problem_type in config.json must be one of .*, got 'ranking'"
        self.check(call, docs, message, options=["--classify", str(folder)])

    def test_a_head_named_twice(self, call: Call, docs: Path, models: Callable[..., Path]) -> None:
        head = str(models("bert", task="ner"))
        options = ["--ner", head, "--ner", head]
        self.check(call, docs, "is named twice: name it once", options=options)

    def test_a_window_over_the_limit_of_a_head(
        self, call: Call, docs: Path, small: Path, models: Callable[..., Path]
    ) -> None:
        tweets = models("bertweet", task="ner")
        message = rf"window must be in \[3, 128\] for {tweets.name}, got 129: leave it out"
        options = ["--ner", str(tweets), "--window", "129"]
        self.check(call, docs, message, embed=small, options=options)

    def test_a_tokenizer_in_python_without_words(self, call: Call, docs: Path, copy: Path) -> None:
        file = copy / "tokenizer_config.json"
        (copy / "tokenizer.json").unlink()
        (copy / "vocab.txt").write_text("a")
        settings = json.loads(file.read_text()) | {"tokenizer_class": "CanineTokenizer"}
        file.write_text(json.dumps(settings))
        message = "model: its tokenizer CanineTokenizer is written in Python .* no character offs"
        self.check(call, docs, message, embed=copy)

    def test_two_heads_of_one_name(
        self, call: Call, docs: Path, models: Callable[..., Path], tmp_path: Path
    ) -> None:
        paths = [tmp_path / name / "head" for name in ("a", "b")]
        for path in paths:
            shutil.copytree(models("bert", task="ner"), path)
        options = [part for path in paths for part in ("--ner", str(path))]
        self.check(call, docs, "two heads are called 'head', .*rename one", options=options)
