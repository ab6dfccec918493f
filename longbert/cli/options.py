"""Options that several commands share; none is written twice.

Options of a run have no default of click's, since a configuration file comes between what is given
and what is left out: the defaults are those of the configuration's classes, and the help quotes
them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import click

from longbert.config import DEFAULT_OUTPUT, DEVICES, INDEX_TYPES, PRECISIONS, ModelConfig, RunConfig
from longbert.tasks import TASKS

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]


PATH = os.path.expanduser
"""The type of a path, a glob or a model: a ``~`` that the shell left is the home folder."""


def together(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Several options as one decorator; the help lists them in this order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were on the command line; 0 is a value, an absent flag is none."""
    return {
        name.rstrip("_"): value
        for name, value in values.items()
        if value is not None and value is not False and value != ()
    }


def default_of(config: type, setting: str) -> str:
    """How the help quotes a setting's default."""
    (default,) = (one.default for one in fields(config) if one.name == setting)
    assert default is not MISSING
    return f"[default: {default}]"


task_options = together(
    *(
        click.option(
            f"--{task.name}",
            type=PATH,
            metavar=task.metavar,
            multiple=task.is_repeatable,
            help=task.help,
        )
        for task in TASKS.values()
    )
)

window_options = together(
    click.option(
        "--window",
        type=int,
        metavar="TOKENS",
        help="Positions of a window, special tokens included.  [default: what the model declares]",
    ),
    click.option(
        "--overlap",
        type=int,
        metavar="TOKENS",
        help="Content tokens that neighbouring windows share.  [default: a quarter of a window]",
    ),
)

compute_options = together(
    click.option(
        "--device",
        type=click.Choice(DEVICES),
        help=f"Where to compute.  {default_of(ModelConfig, 'device')}",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        help="Number type to compute in; auto takes bfloat16 where the processor is fast at it.  "
        f"{default_of(ModelConfig, 'precision')}",
    ),
)

model_options = together(
    task_options,
    window_options,
    click.option(
        "--passage",
        type=int,
        metavar="TOKENS",
        help="Content tokens of a passage; words if no model runs.  "
        f"{default_of(ModelConfig, 'passage')}",
    ),
    click.option(
        "--document-prompt",
        metavar="TEXT",
        help="What the embedding model reads before each window of a document; an empty text "
        "switches it off.  [default: what the model declares]",
    ),
    compute_options,
    click.option(
        "--trust-pickle",
        is_flag=True,
        help="Load weights stored as pickles, which can run any code.  [default: refused]",
    ),
    click.option(
        "--trust-remote-code",
        is_flag=True,
        help="Run Python code that a model brings.  [default: refused]",
    ),
)

field_options = together(
    click.option(
        "--id-field",
        metavar="NAME",
        help=f"Field of the id in JSON lines and Parquet.  {default_of(RunConfig, 'id_field')}",
    ),
    click.option(
        "--text-field",
        metavar="NAME",
        help=f"Field of the text.  {default_of(RunConfig, 'text_field')}",
    ),
)

reading_options = together(
    click.option(
        "--encoding",
        metavar="[GLOB=]NAME",
        multiple=True,
        help="Encoding of texts and pages that are not UTF-8: of all, or of those that the glob "
        "matches; repeatable.  [default: detected, in doubt an error]",
    ),
    click.option(
        "--max-record-bytes",
        type=int,
        metavar="N",
        help="Largest JSON line, Parquet row or HTML page.  "
        f"{default_of(RunConfig, 'max_record_bytes')}",
    ),
    click.option(
        "--max-text-bytes",
        type=int,
        metavar="N",
        help=f"Largest text, in UTF-8.  {default_of(RunConfig, 'max_text_bytes')}",
    ),
    click.option(
        "--max-metadata-bytes",
        type=int,
        metavar="N",
        help="All other fields of a document together.  "
        f"{default_of(RunConfig, 'max_metadata_bytes')}",
    ),
)

label_field_option = click.option(
    "--label-field",
    metavar="NAME",
    help="Field of the labels.  [default: label, labels or entities, whichever there is]",
)


def query_prompt_option(default: str) -> Decorator[Any]:
    """``--query-prompt``, which a run records and a query may replace."""
    return click.option(
        "--query-prompt",
        metavar="TEXT",
        help="What the embedding model reads before a query; an empty text switches it off.  "
        f"[default: {default}]",
    )


vector_options = together(
    click.option(
        "--type",
        type=click.Choice(INDEX_TYPES),
        help="Type of the index of vectors; auto picks one by size and memory.  "
        "[default: what the output has, else auto]",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        help="What the index of vectors may take, built and searched, as 4GB; refused where it "
        "does not fit.  [default: what the output has, else no limit]",
    ),
    click.option(
        "--recall",
        type=float,
        metavar="SHARE",
        help="Share of the true ten nearest passages that an index which is not exact has to find."
        "  [default: what the output has, else 0.95]",
    ),
)

output_option = click.option(
    "--output",
    type=PATH,
    metavar="DIR",
    help=f"Folder of the tables, the index and the manifest.  [default: {DEFAULT_OUTPUT}]",
)

index_option = click.option(
    "--index",
    "folder",
    type=PATH,
    metavar="DIR",
    default=DEFAULT_OUTPUT,
    show_default=True,
    help="Output folder of longbert run.",
)


def format_option(formats: Sequence[str], meaning: str) -> Decorator[Any]:
    """``--format``; the first of the formats is the default."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help=meaning,
    )
