"""Options of the commands that search."""

from __future__ import annotations

import click

from longbert.core.ranks import RANKS

filter_option = click.option(
    "--filter",
    metavar="EXPR",
    help="Find only documents that fit, such as \"label = 'neg' and score > 0.8\": by label, "
    "score, head, entity, document_id, n_chars, ... or metadata.  [default: all documents]",
)

rank_option = click.option(
    "--rank",
    type=click.Choice(RANKS),
    help="Rank documents by words (lexical), by the vector of their best passage, by the mean of "
    "their three best, by the vector of the whole document, or by words and passages together "
    "(hybrid).  [default: hybrid; lexical without vectors]",
)
