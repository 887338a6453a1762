"""`tools/extract_embeddings.py`: writes the word vectors that a model has learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onmt.commandline.declare import existing_folder_or_empty, existing_model, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.errors import DataError
from onmt.logger import Logger

if TYPE_CHECKING:
    from torch import Tensor

    from onmt.data.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class ExtractEmbeddingsOptions:
    """Extract embeddings"""

    model: str = option(
        "",
        "The model, a `.pt` file or a `.t7` of OpenNMT Lua.",
        required=True,
        valid=existing_model,
    )
    output_dir: str = option(
        ".",
        "Folder for `src_embeddings.txt` and, if the model has target words, `tgt_embeddings.txt`.",
        valid=existing_folder_or_empty,
        writes=("{}/*_embeddings.txt",),
    )
    gpuid: int = option(0, "Has no effect: vectors are read without a GPU, from models of GPUs too.")


SCRIPT = Script(
    name="tools/extract_embeddings.py",
    summary="Writes the word vectors that a model has learnt, a word and its numbers per line.",
    choose=lambda _: ExtractEmbeddingsOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[ExtractEmbeddingsOptions], logger: Logger) -> None:
    """Write one file per table of word vectors."""
    from onmt.data.vocabulary import Vocabularies
    from onmt.models.loading import read_content

    options = parsed.options
    logger.info(f"Loading model '{options.model}'...")
    content = read_content(options.model)
    vocabularies = Vocabularies.from_state(content["vocabularies"])
    tables = (
        ("source", "source.words", vocabularies.src),
        ("target", "decoder.embeddings.words", vocabularies.tgt),
    )
    weights = content["weights"]
    if (content["spec"]["decoder"] or {}).get("shares_source_embedding"):
        weights = {**weights, "decoder.embeddings.words": weights["source.words"]}
    found = [(side, weights[name], words) for side, name, words in tables if name in weights]
    if not found:
        raise DataError(f"{options.model}: this model has no word vectors")
    for side, table, _ in found:
        logger.info(f"Found {side} embeddings of size {len(table)}")
    for side, table, words in found:
        logger.info(f"Writing {side} embeddings")
        prefix = "src" if side == "source" else "tgt"
        _write(Path(options.output_dir) / f"{prefix}_embeddings.txt", words[0], table)
    logger.info("... done.")


def _write(path: Path, vocabulary: "Vocabulary", table: "Tensor") -> None:
    from onmt.files import replacing

    if table.shape[0] != len(vocabulary):
        raise DataError(f"{path}: the model has {table.shape[0]} vectors for {len(vocabulary)} words")
    with replacing(path) as file:
        for word, row in zip(vocabulary.words, table.tolist(), strict=True):
            numbers = " ".join(f"{number:5f}" for number in row)
            file.write(f"{word} {numbers}\n".encode())
