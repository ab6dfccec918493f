"""What is compared: each program as a function that loads it and gives one that does the work.

Programs that take no long documents get the text of each window; those that cut documents
themselves are told the same window and overlap. All of them have the same threads. A head on the
encoder that has no weights gets random ones, since only its time matters.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from corpus import Task, window_texts

Vectors = np.ndarray[Any, Any]
Work = Callable[[], Vectors | None]
"""Does all of a task once; returns the windows' vectors where there are some."""


def longbert_job(task: Task, **settings: Any) -> Work:
    """``longbert run``: from the file to tables and index, through Beam."""
    import longbert

    folder = Path(tempfile.mkdtemp(prefix="longbert-bench-"))
    common = {"embed": task.model, "window": task.window, "overlap": task.overlap, **settings}

    def work() -> None:
        output = folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        longbert.run(task.documents, output=output, **common)

    return work


def longbert_job_of_one(task: Task) -> Work:
    """The embedding alone."""
    return longbert_job(task, ner=("none",), classify=("none",))


def longbert_job_of_three(task: Task) -> Work:
    """Embedding, entities and classes."""
    return longbert_job(task, embed="minilm", ner=("entities-en",), classify=("sentiment-en",))


def longbert_embeds(task: Task) -> Work:
    """Document and passage vectors from Python."""
    import longbert

    encoder = longbert.load(embed=task.model, window=task.window, overlap=task.overlap)
    texts = task.texts()

    def work() -> None:
        encoder.embed(texts)

    return work


def longbert_embeds_windows(task: Task) -> Work:
    """Each window as a document of its own, whose vectors can be compared."""
    import longbert

    encoder = longbert.load(embed=task.model, window=task.window, overlap=task.overlap)
    texts = task.texts()

    def work() -> Vectors:
        return encoder.embed(window_texts(texts, task))

    return work


def _auto(task: Task, name: str, n_labels: int) -> Any:
    """A model of transformers with a head of its own, and its tokenizer."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    model = getattr(transformers, name).from_pretrained(task.model, num_labels=n_labels)
    tokenizer = transformers.AutoTokenizer.from_pretrained(task.model)
    tokenizer.model_max_length = task.window
    return model, tokenizer


def hf_ner(task: Task) -> Work:
    """The pipeline of transformers for entities, which cuts documents by ``stride``."""
    from transformers import pipeline

    model, tokenizer = _auto(task, "AutoModelForTokenClassification", 9)
    find = pipeline(
        "token-classification",
        model=model,
        tokenizer=tokenizer,
        aggregation_strategy="first",
        stride=task.overlap,
        batch_size=task.batch_rows,
    )
    texts = task.texts()

    def work() -> None:
        find(texts)

    return work


def hf_classify(task: Task) -> Work:
    """The pipeline of transformers for classes, over windows."""
    from transformers import pipeline

    model, tokenizer = _auto(task, "AutoModelForSequenceClassification", 2)
    classify = pipeline(
        "text-classification", model=model, tokenizer=tokenizer, batch_size=task.batch_rows
    )
    texts = task.texts()

    def work() -> None:
        classify(window_texts(texts, task), truncation=True, max_length=task.window)

    return work


def _sentence_transformers(task: Task, **options: Any) -> Any:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(task.model, device="cpu", **options)
    model.max_seq_length = task.window
    return model


def _encoding(model: Any, task: Task) -> Work:
    texts = task.texts()

    def work() -> Vectors:
        vectors = model.encode(window_texts(texts, task), show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    return work


def st_default(task: Task) -> Work:
    """sentence-transformers as it comes: float32, batches of 32."""
    return _encoding(_sentence_transformers(task), task)


def st_bfloat16(task: Task) -> Work:
    """... in bfloat16."""
    return _encoding(_sentence_transformers(task, model_kwargs={"dtype": "bfloat16"}), task)


def st_compiled(task: Task) -> Work:
    """... in bfloat16, compiled by torch."""
    model = _sentence_transformers(task, model_kwargs={"dtype": "bfloat16"})
    model.compile()
    return _encoding(model, task)


def st_onnx(task: Task) -> Work:
    """... by ONNX Runtime."""
    return _encoding(_exported(task, "onnx"), task)


def st_openvino(task: Task) -> Work:
    """... by OpenVINO."""
    return _encoding(_exported(task, "openvino"), task)


def _exported(task: Task, backend: str) -> Any:
    # The export is written beside the weights, which are not ours to change.
    folder = Path(tempfile.mkdtemp(prefix="longbert-bench-")) / "model"
    shutil.copytree(task.model, folder)
    return _sentence_transformers(
        Task(str(folder), task.documents, task.window, task.overlap, task.threads, 0),
        backend=backend,
    )


def afterthoughts(task: Task) -> Work:
    """Late chunking: whole windows through the model, means of the tokens of chunks."""
    from afterthoughts import LateEncoder

    encoder = LateEncoder(task.model, device="cpu", normalize=True)
    texts = task.texts()

    def work() -> None:
        encoder.encode(
            texts,
            max_length=task.window,
            max_batch_tokens=task.window * task.batch_rows,
            max_chunk_sents=None,
            max_chunk_tokens=64,
            # Its releases take no number of tokens here, though they say so.
            prechunk_overlap_tokens=task.overlap / task.window,
            show_progress=False,
        )

    return work


def llama(task: Task) -> Work:
    """llama.cpp's Python package, on weights in float16, as its converter writes them."""
    from llama_cpp import Llama
    from llama_file import write_gguf

    path = Path(tempfile.mkdtemp(prefix="longbert-bench-")) / "model.gguf"
    write_gguf(Path(task.model), path)
    # It computes as many positions as it has room for, so more room takes longer.
    model = Llama(
        str(path),
        embedding=True,
        n_ctx=task.window,
        n_batch=task.window,
        n_ubatch=task.window,
        n_threads=task.threads,
        n_threads_batch=task.threads,
        verbose=False,
    )
    texts = task.texts()

    def work() -> Vectors:
        vectors = model.embed(window_texts(texts, task), normalize=True)
        return np.asarray(vectors, dtype=np.float32)

    return work


def beam_inference(task: Task) -> Work:
    """A naive pipeline of Beam: documents to windows, RunInference, vectors."""
    import apache_beam as beam
    from apache_beam.ml.inference.base import ModelHandler, RunInference

    class Handler(ModelHandler[str, Vectors, Any]):  # type: ignore[misc]
        def load_model(self) -> Any:
            return _sentence_transformers(task)

        def run_inference(
            self, batch: Sequence[str], model: Any, inference_args: Any = None
        ) -> Iterable[Vectors]:
            yield from model.encode(list(batch), show_progress_bar=False)

        def batch_elements_kwargs(self) -> dict[str, int]:
            return {"min_batch_size": 32, "max_batch_size": 32}

    def windows(text: str) -> Iterator[str]:
        yield from window_texts([text], task)

    texts = task.texts()

    def work() -> None:
        with beam.Pipeline() as pipeline:
            vectors = (
                pipeline | beam.Create(texts) | beam.FlatMap(windows) | RunInference(Handler())
            )
            vectors | beam.combiners.Count.Globally() | beam.Map(lambda n: n)

    return work


PROGRAMS: dict[str, Callable[[Task], Work]] = {
    "longbert run, embedding": longbert_job_of_one,
    "longbert run, three tasks": longbert_job_of_three,
    "longbert.load, embedding": longbert_embeds,
    "longbert.load, windows as documents": longbert_embeds_windows,
    "transformers, NER with stride": hf_ner,
    "transformers, classes of windows": hf_classify,
    "sentence-transformers": st_default,
    "sentence-transformers, bfloat16": st_bfloat16,
    "sentence-transformers, bfloat16 compiled": st_compiled,
    "sentence-transformers, ONNX": st_onnx,
    "sentence-transformers, OpenVINO": st_openvino,
    "afterthoughts": afterthoughts,
    "llama.cpp": llama,
    "Beam with RunInference": beam_inference,
}
