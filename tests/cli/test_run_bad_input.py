"""What may be wrong with what the command is given: message, exit status, nothing lost."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file, save_file
from support.runs import command, files_of, problems, rows, some_texts, write_texts

from longbert.store.filesystem import LocalFileSystem

Call = Callable[..., Result]

MARKER = "Zyxomma"
"""A word of every document, which no message may tell."""

LONG_ID = "i" * 10_240


def bad_documents(folder: Path) -> Path:
    """One document that is well among all that are not."""
    good = json.dumps({"id": "good", "text": f"{MARKER} is a dragonfly. It flies at dusk."})
    lines = [
        good,
        '{"id": "cut", "text": "' + MARKER,
        json.dumps({"id": "textless", "body": MARKER}),
        json.dumps({"id": "listed", "text": [MARKER]}),
        json.dumps({"id": "", "text": MARKER}),
        json.dumps({"id": LONG_ID, "text": MARKER}),
        json.dumps({"id": "good", "text": f"{MARKER} again"}),
        json.dumps([MARKER]),
        f'"{MARKER}"',
        json.dumps({"id": "nothing", "text": None}),
        json.dumps({"id": ["x"], "text": MARKER}),
        good.replace('"good"', '"last"'),
    ]
    write_texts(folder, {"lines.jsonl": "\n".join(lines), "empty.txt": "", "white.md": " \n\t"})
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 8 + MARKER.encode() + bytes(3000))
    (folder / "nul.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + MARKER.encode() + b"\x00" * 2000)
    (folder / "dangling.txt").symlink_to("nowhere")
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(good.encode())[:12])
    pq.write_table(pa.table({"id": ["p"], "body": [MARKER]}), folder / "column.parquet")
    (folder / "no.parquet").write_bytes(f"{MARKER}, no Parquet".encode())
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


class Ran:
    """A run of the installed command over bad documents."""

    def __init__(self, place: Path, model: Path) -> None:
        self.docs = bad_documents(place / "docs")
        self.output = place / "out"
        self.done = command(
            *("run", "--input", self.docs, "--output", self.output, "--embed", model),
            *("--precision", "float32", "--unit-bytes", "2000"),
        )
        self.errors = {
            str(Path(row["source"]).relative_to(self.docs)): row
            for row in rows(self.output, "errors")
        }


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Ran:
    return Ran(tmp_path_factory.mktemp("bad"), small)


def test_the_command_ends_with_3_and_its_neighbours_are_done(ran: Ran) -> None:
    assert ran.done.returncode == 3
    assert ran.done.stdout == ""
    ids = [row["document_id"] for row in rows(ran.output, "documents")]
    assert ids == ["good", "last"]
    reasons = f"{len(ran.errors)} rows in {ran.output}/errors, each with a reason"
    assert reasons in ran.done.stderr
    assert "skipped 1 file of other kinds: .png 1" in ran.done.stderr
    assert problems(ran.output) == []


@pytest.mark.parametrize(
    ("source", "document_id", "stage", "error", "message"),
    [
        ("dangling.txt", "dangling.txt", "plan", "unreadable", "No such file or directory: make"),
        ("binary.txt", "binary.txt", "read", "encoding", "it is binary"),
        ("nul.txt", "nul.txt", "read", "encoding", "it is binary"),
        ("empty.txt", "empty.txt", "plan", "empty", "0 bytes: leave it out"),
        ("white.md", "white.md", "tokenize", "no_tokens", "white space"),
        ("lines.jsonl#2", None, "plan", "bad_json", "not valid JSON: .* at character"),
        ("lines.jsonl#3", "textless", "plan", "no_text", "the fields are id, body: .*--text-field"),
        ("lines.jsonl#4", "listed", "plan", "bad_text", "must be a string, got list"),
        ("lines.jsonl#5", None, "plan", "bad_id", "must have 1 to 1,000 characters, got 0:"),
        ("lines.jsonl#6", None, "plan", "bad_id", "1 to 1,000 characters, got 10,240: shorten"),
        ("lines.jsonl#7", "good", "plan", "duplicate_id", "already taken by .*lines.jsonl#1"),
        ("lines.jsonl#8", None, "plan", "not_an_object", "a JSON array, not an object"),
        ("lines.jsonl#9", None, "plan", "not_an_object", "a JSON string, not an object"),
        ("lines.jsonl#10", "nothing", "plan", "no_text", "text field 'text' is null: give it"),
        ("lines.jsonl#11", None, "plan", "bad_id", "must be a string or an integer, got list"),
        ("column.parquet", None, "plan", "no_text", "the columns are id, body: .*--text-field"),
        ("no.parquet", None, "plan", "bad_parquet", "is not Parquet, or is damaged"),
    ],
)
def test_a_bad_document_is_a_row_with_a_reason(
    ran: Ran, source: str, document_id: str | None, stage: str, error: str, message: str
) -> None:
    row = ran.errors[source]
    assert (row["document_id"], row["stage"], row["error"]) == (document_id, stage, error)
    assert re.search(message, row["message"])


def test_a_gzip_that_was_cut_short_is_an_error(ran: Ran) -> None:
    row = ran.errors["cut.jsonl.gz"]
    assert (row["document_id"], row["stage"], row["error"]) == (None, "plan", "bad_gzip")
    assert "damaged or cut short" in row["message"]


def test_no_message_holds_text_of_a_document(ran: Ran) -> None:
    assert ran.errors
    assert MARKER.lower() not in json.dumps(list(ran.errors.values())).lower()
    assert MARKER.lower() not in ran.done.stderr.lower()
    for path in ran.output.rglob("*.json"):
        assert MARKER.lower() not in path.read_text().lower(), path
    names = {path.name for path in ran.output.rglob("*.json")}
    assert names > {"manifest.json", "run.json", "fingerprint.json"}


def test_a_rerun_keeps_the_rows_and_the_status(ran: Ran, call: Call, small: Path) -> None:
    before = files_of(ran.output)
    result = call(
        *("run", "--input", ran.docs, "--output", ran.output, "--embed", small),
        *("--precision", "float32", "--unit-bytes", "2000", "--runner", "none"),
    )
    assert result.exit_code == 3
    assert "nothing to do" in result.stderr
    assert files_of(ran.output) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path, call: Call, small: Path) -> None:
    docs = write_texts(tmp_path / "docs", some_texts(2))
    (docs / "00.txt").chmod(0)
    result = call(*run_arguments(docs, tmp_path / "out", small))
    assert result.exit_code == 3
    (row,) = rows(tmp_path / "out", "errors")
    assert (row["error"], row["document_id"]) == ("unreadable", "00.txt")


def run_arguments(docs: Path | str, output: Path | str, model: Path | str) -> list[str]:
    arguments = ["run", "--input", docs, "--output", output, "--embed", model]
    return [*map(str, arguments), "--precision", "float32", "--runner", "none"]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "docs", {"a.txt": f"{MARKER} is a dragonfly."})


def refuse(
    call: Call, arguments: list[str], *messages: str, status: int = 2, output: Path | None = None
) -> str:
    """Check that a command fails with one plain message, and leaves no output behind."""
    result = call(*arguments)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    assert "should not happen" not in result.output
    assert result.stdout == ""
    assert MARKER not in result.output
    for message in messages:
        assert re.search(message, result.stderr), result.stderr
    if output is not None:
        assert not output.exists()
    return result.stderr


class TestInputs:
    def test_missing(self, tmp_path: Path, call: Call, small: Path) -> None:
        output = tmp_path / "out"
        refuse(
            call,
            run_arguments(tmp_path / "nowhere", output, small),
            r"^longbert: error: input .*/nowhere does not exist: name a file, a folder or a glob",
            output=output,
        )

    def test_a_folder_without_documents(self, tmp_path: Path, call: Call, small: Path) -> None:
        (tmp_path / "docs").mkdir()
        output = tmp_path / "out"
        arguments = run_arguments(tmp_path / "docs", output, small)
        refuse(call, arguments, "docs holds no file: longbert reads .txt .md", output=output)
        write_texts(tmp_path / "docs", {"a.png": "", "b.PNG": "", "c": ""})
        wanted = r"holds only files of other kinds \(2 .png, 1 without suffix\): longbert reads"
        refuse(call, arguments, wanted, output=output)

    def test_not_given(self, call: Call) -> None:
        refuse(call, ["run"], "^Usage: ", "Error: --input is missing: name the files or folders")

    def test_an_input_without_the_option(self, call: Call) -> None:
        refuse(call, ["run", "docs"], "unexpected argument 'docs': name inputs with --input")


class TestOptions:
    def test_unknown(self, call: Call) -> None:
        refuse(call, ["run", "--inputs", "docs"], "No such option '--inputs'.*--input")
        refuse(call, ["rnu"], "no such command 'rnu'; did you mean 'run'", "The commands are run, ")
        refuse(call, ["zzz"], r"no such command 'zzz'\. The commands are run, ")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--workers", "0"], "workers must be .*at least 1, got 0"),
            (["--workers", "2"], "the runner is none: use DirectRunner"),
            (["--workers", "many"], "'many' is not a valid integer"),
            (["--runner", "DaskRunner"], "runner DaskRunner is refused: it loses data silently"),
            (["--window", "0"], "window must be at least 3, got 0"),
            (["--window", "2"], "window must be at least 3, got 2"),
            (["--window", "3", "--overlap", "1"], r"overlap must be in \[0, 1\) .*got 1"),
            (["--window", "513"], r"must be in \[3, 512\] for embedding, got 513: leave it"),
            (
                ["--window", "32", "--overlap", "30"],
                r"must be in \[0, 30\) .*got 30: try 7",
            ),
            (["--overlap", "-1"], "overlap must be at least 0, got -1"),
            (["--passage", "0"], "passage must be at least 1, got 0"),
            (["--batch-tokens", "0"], "batch_tokens must be at least 1, got 0"),
            (["--unit-bytes", "0"], "unit_bytes must be at least 1, got 0"),
            (["--precision", "float8"], "'float8' is not one of 'auto'"),
            (["--embed", "none"], "embed, classify and ner are all none"),
            (["--id-field", "x", "--text-field", "x"], "must differ, both are 'x'"),
            (["--output", ""], "output must name a folder"),
        ],
    )
    def test_out_of_range(
        self, docs: Path, tmp_path: Path, call: Call, small: Path, options: list[str], message: str
    ) -> None:
        output = tmp_path / "out"
        refuse(call, [*run_arguments(docs, output, small), *options], message, output=output)

    def test_a_window_over_the_limit_of_one_of_several_heads_names_it(
        self, docs: Path, tmp_path: Path, call: Call, small: Path, models: Callable[..., Path]
    ) -> None:
        ner = models("bert-cased", task="ner", max_position_embeddings=48)
        arguments = [*run_arguments(docs, tmp_path / "out", small), "--ner", str(ner)]
        message = rf"window must be in \[3, 48\] for {ner.name}, got 64"
        refuse(call, [*arguments, "--window", "64"], message, output=tmp_path / "out")

    def test_an_overlap_of_0_is_not_the_default(
        self, docs: Path, tmp_path: Path, call: Call, small: Path
    ) -> None:
        result = call(*run_arguments(docs, tmp_path / "out", small), "--overlap", "0")
        assert result.exit_code == 0
        assert "window 32, overlap 0" in result.stderr
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["settings"]["models"]["backbones"][0]["overlap"] == 0


class TestConfigurationFile:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("pasage = 3", "run.toml: unknown setting 'pasage'; did you mean 'passage'"),
            ("zzzzzz = 3", r"run.toml: unknown setting 'zzzzzz'\. The settings are: "),
            ("[models]\nembed = 'x'", "unknown setting 'models'"),
            ("passage = ", r"run.toml is not valid TOML: Invalid value"),
            ("passage = 'many'", "passage must be a whole number, got 'many'"),
            ("passage = true", "passage must be a whole number, got True"),
            ("window = 12.5", "window must be a whole number, got 12.5"),
            ("trust_pickle = 'yes'", "trust_pickle must be true or false, got 'yes'"),
            ("input = 3", "input must be a string or a list of strings, got 3"),
            ("input = [3]", r"input must be a string or a list of strings, got \(3,\)"),
            ("ner = {a = 1}", "ner must be a string or a list of strings"),
            ("embed = ['a', 'b']", "embed must be a string, got"),
            ("workers = '2'", "workers must be a whole number of at least 1, got '2'"),
            ("runner = 2", "runner must be a string such as DirectRunner, got 2"),
            ("device = 'tpu'", "device must be one of auto, cpu, cuda, mps, got 'tpu'"),
            ("output = ''", "output must name a folder"),
        ],
    )
    def test_wrong(
        self, docs: Path, tmp_path: Path, call: Call, content: str, message: str
    ) -> None:
        file = tmp_path / "run.toml"
        defaults = "" if content.startswith("input") else f"input = '{docs}'\n"
        file.write_text(defaults + content if "[" not in content[:1] else content + "\n")
        if "not valid TOML" in message:
            file.write_text(content)
        refuse(call, ["run", "--config", str(file)], message)

    def test_missing_or_no_text(self, tmp_path: Path, call: Call) -> None:
        refuse(call, ["run", "--config", str(tmp_path / "no.toml")], "no.toml' does not exist")
        (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
        refuse(call, ["run", "--config", str(tmp_path / "run.toml")], "run.toml cannot be read")

    def test_the_command_line_wins(
        self, docs: Path, tmp_path: Path, call: Call, small: Path
    ) -> None:
        file = tmp_path / "run.toml"
        file.write_text(
            f"input = ['{docs}']\noutput = '{tmp_path / 'wrong'}'\nrunner = 'none'\n"
            f"embed = '{small}'\nprecision = 'float32'\npassage = 5\n"
        )
        result = call("run", "--config", file, "--output", tmp_path / "out", "--passage", "7")
        assert result.exit_code == 0, result.stderr
        assert not (tmp_path / "wrong").exists()
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["settings"]["models"]["passage"] == 7


class TestOutputs:
    def test_a_file(self, docs: Path, tmp_path: Path, call: Call, small: Path) -> None:
        (tmp_path / "out").write_text("mine")
        message = "output '.*/out' is a file: name a folder"
        refuse(call, run_arguments(docs, tmp_path / "out", small), message)
        assert (tmp_path / "out").read_text() == "mine"

    def test_below_a_file(self, docs: Path, tmp_path: Path, call: Call, small: Path) -> None:
        (tmp_path / "file").write_text("mine")
        message = r"output '.*/file/out': .*json cannot be written \(Not a directory\).*run again"
        refuse(call, run_arguments(docs, tmp_path / "file/out", small), message, status=1)
        assert (tmp_path / "file").read_text() == "mine"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_not_writable(self, docs: Path, tmp_path: Path, call: Call, small: Path) -> None:
        (tmp_path / "locked").mkdir(mode=0o500)
        message = r"cannot be written \(Permission denied\)"
        refuse(call, run_arguments(docs, tmp_path / "locked/out", small), message, status=1)

    @pytest.mark.parametrize("file", ["fingerprint", "passages/", "receipts/", "index/", "run.j"])
    def test_a_full_disk(
        self,
        tmp_path: Path,
        call: Call,
        small: Path,
        monkeypatch: pytest.MonkeyPatch,
        file: str,
    ) -> None:
        docs = write_texts(tmp_path / "docs", some_texts(2))
        write = LocalFileSystem.write

        def full(self: LocalFileSystem, path: str, data: bytes) -> None:
            if f"out/{file}" in path:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            write(self, path, data)

        with monkeypatch.context() as patch:
            patch.setattr(LocalFileSystem, "write", full)
            message = r"cannot be written .*No space left on device.*(run again|free space)"
            refuse(call, run_arguments(docs, tmp_path / "out", small), message, status=1)
        result = call(*run_arguments(docs, tmp_path / "out", small))
        assert result.exit_code == 0
        assert problems(tmp_path / "out") == []

    def test_of_other_settings(self, docs: Path, tmp_path: Path, call: Call, small: Path) -> None:
        arguments = run_arguments(docs, tmp_path / "out", small)
        assert call(*arguments).exit_code == 0
        before = files_of(tmp_path / "out")
        refuse(
            call,
            [*arguments, "--passage", "9"],
            r"out' was made with other settings:\n  models.passage: 64 -> 9\nGo back .*--output",
            status=4,
        )
        assert files_of(tmp_path / "out") == before


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

    def test_a_tokenizer_that_does_not_fit(self, call: Call, docs: Path, copy: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(copy)
        n_ids = len(tokenizer)
        tokenizer.add_tokens(["frobnicate", "gyre"])
        tokenizer.save_pretrained(copy)
        message = f"tokenizer has ids up to {n_ids + 1}, but the model has embeddings for {n_ids} "
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
        message = f"the weight classifier.weight has the shape {found}, but .* asks for {wanted}"
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


def test_nothing_is_lost_when_a_later_run_fails(
    tmp_path: Path, docs: Path, call: Call, small: Path
) -> None:
    output = tmp_path / "out"
    assert call(*run_arguments(docs, output, small)).exit_code == 0
    before = files_of(output)
    for options in (["--input", str(tmp_path / "no")], ["--ner", "./no"], ["--window", "9999"]):
        assert call(*run_arguments(docs, output, small), *options).exit_code == 2
    assert files_of(output) == before
    assert call("verify", output).exit_code == 0
    assert call("query", "dragonfly", "--index", output).exit_code == 0
