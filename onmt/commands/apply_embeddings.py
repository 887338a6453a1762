"""`tools/apply_embeddings.py`: writes a text as sequences of word vectors."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any

from onmt.commandline.declare import existing_file, existing_file_or_empty, existing_model, not_empty, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.errors import DataError
from onmt.logger import Logger, LoggerOptions
from onmt.text.lines import read_text_lines, split_features, split_words
from onmt.text.placeholders import named

if TYPE_CHECKING:
    from onmt.data.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class ApplyDataOptions:
    """Data"""

    txt_src: str = option("", "The text, tokenized.", required=True, valid=existing_file)
    txt_tgt: str = option(
        "", "The target text that goes with it, line by line; empty: none.", valid=existing_file_or_empty
    )
    dict: str = option("", "The vocabulary of the vectors.", required=True, valid=existing_file)
    embed_data: str = option(
        "",
        "The vectors: a `.pt` tensor of tools/embeddings.py, or a `.t7` tensor of OpenNMT Lua.",
        required=True,
        valid=existing_model,
    )
    save_prefix: str = option(
        "",
        "Beginning of the names of the files to write: `PREFIX.src`, `PREFIX.tgt`.",
        required=True,
        valid=not_empty,
        writes=("{}.src", "{}.tgt"),
    )


@dataclass(frozen=True, kw_only=True)
class ApplyEmbeddingsOptions(ApplyDataOptions, LoggerOptions):
    """Apply embeddings"""


SCRIPT = Script(
    name="tools/apply_embeddings.py",
    summary="Writes a text as sequences of word vectors, and the target beside it, with keys: for feattext.",
    choose=lambda _: ApplyEmbeddingsOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[ApplyEmbeddingsOptions], logger: Logger) -> None:
    """Write a Kaldi text archive, `KEY [`, rows, `]`, and an indexed target, `KEY words`."""
    from onmt.data.vocabulary import Vocabulary
    from onmt.files import replacing
    from onmt.models.pretrained import read_tensor

    options = parsed.options
    vocabulary = Vocabulary.read(options.dict)
    vectors = read_tensor(options.embed_data)
    if vectors.dim() != 2 or vectors.shape[0] != len(vocabulary):
        shape = " x ".join(str(size) for size in vectors.shape)
        raise DataError(
            f"{options.embed_data}: {shape} numbers do not fit the {len(vocabulary)} words of {options.dict}"
        )
    rows = _Rows(vectors.numpy())
    with ExitStack() as stack:
        source = stack.enter_context(replacing(f"{options.save_prefix}.src"))
        target = stack.enter_context(replacing(f"{options.save_prefix}.tgt")) if options.txt_tgt else None
        count = 0
        for count, (line, translation) in enumerate(_pairs(options), start=1):
            key = f"IDX{count}"
            _write_matrix(source, key, [rows.text(index) for index in _ids(line, count, vocabulary, options)])
            if target is not None:
                target.write(f"{key} {translation}\n".encode())
    logger.info(f"Wrote {count} sequences to {options.save_prefix}.src")


class _Rows:
    """The rows of a matrix as text, each made once."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix
        self._texts: dict[int, str] = {}

    def text(self, index: int) -> str:
        if index not in self._texts:
            self._texts[index] = " ".join(f"{number:.4f}" for number in self._matrix[index])
        return self._texts[index]


def _pairs(options: ApplyEmbeddingsOptions) -> Iterator[tuple[str, str]]:
    """The lines of source and target; an empty target where there is no file."""
    if not options.txt_tgt:
        for line in read_text_lines(options.txt_src):
            yield line, ""
        return
    both = zip_longest(read_text_lines(options.txt_src), read_text_lines(options.txt_tgt))
    for number, (source, target) in enumerate(both, start=1):
        if source is None or target is None:
            shorter = options.txt_src if source is None else options.txt_tgt
            raise DataError(f"{shorter}: this file has {number - 1} lines, the other side has more")
        yield source, " ".join(split_words(target))


def _ids(line: str, number: int, vocabulary: "Vocabulary", options: ApplyEmbeddingsOptions) -> list[int]:
    words, features = split_features(list(map(named, split_words(line))))
    if features:
        raise DataError(f"{options.txt_src}, line {number}: words with features have no vectors")
    return vocabulary.ids(words)


def _write_matrix(file: IO[bytes], key: str, rows: list[str]) -> None:
    file.write(f"{key} [\n".encode())
    file.write("\n".join(rows).encode())
    file.write(b" ]\n")
