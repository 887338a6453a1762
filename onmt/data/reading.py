"""Reading a corpus as its options say: line by line or by key, text or vectors, tokenized on the fly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onmt.data.corpus import Block, Progress, read_parallel
from onmt.data.indexed import read_by_key
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reading:
    """How the files of a corpus are read.

    vectors: those of the first side hold vectors. by_key: source and target are matched by key, not by line.
    """

    vectors: bool
    by_key: bool

    def blocks(self, paths: Sequence[str], progress: Progress) -> Iterator[tuple[Block, ...]]:
        """The entries of one file per side, together, in blocks."""
        if self.by_key:
            return read_by_key(paths[0], paths[1] if len(paths) > 1 else None, self.vectors, progress)
        return read_parallel(paths, progress)


def make_tokenizer(options: TokenizerOptions) -> Tokenizer | None:
    """The tokenizer that the options ask for, None when it would only split at blanks."""
    works = options.mode != "space" or options.bpe_model or options.case_feature or options.segment_case
    return Tokenizer.of(options) if works else None
