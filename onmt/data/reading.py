"""Reading a corpus: line by line or by key, text, vectors or images, through the user's hooks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Final, Literal

from onmt.data.corpus import Block, LineBlock, OnBytesRead, read_parallel
from onmt.data.images import captions_of, read_image_list
from onmt.data.indexed import read_by_key
from onmt.errors import DataError
from onmt.hooks import NO_HOOKS, TokenizerHooks, pair_hook, tokenizer_hooks
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reading:
    """How a corpus is read. by_key: source and target are matched by key, not by line."""

    source: Literal["text", "vectors", "images"]
    by_key: bool

    def blocks(self, paths: Sequence[str], progress: OnBytesRead) -> Iterator[tuple[Block, ...]]:
        """Read one file per side in parallel blocks; a list of images is the file of both sides."""
        if self.source == "images":
            return read_image_list(paths[0], progress)
        if self.by_key:
            vectors = self.source == "vectors"
            return read_by_key(paths[0], paths[1] if len(paths) > 1 else None, vectors, progress)
        return read_parallel(paths, progress)

    def text_blocks(self, path: str, progress: OnBytesRead) -> Iterator[Block]:
        """Read the text of one side's file in blocks."""
        if self.source == "images":
            return captions_of(path, progress)
        alone = replace(self, source="text").blocks([path], progress)
        return (block for (block,) in alone)


@dataclass(frozen=True)
class CorpusHooks:
    """The user's functions that change a corpus: first the lines of each side, then pairs, then tokens.

    pairs: maps the lines of source and target to new ones, or to None to keep them.
    """

    tokens: TokenizerHooks = NO_HOOKS
    pairs: Callable[[list[str], list[str]], tuple[list[str], list[str]] | None] | None = None

    @classmethod
    def of(cls, module: ModuleType | None, options: object) -> "CorpusHooks":
        """Return the hooks that a module defines."""
        return cls(tokenizer_hooks(module, options), pair_hook(module, options))

    def apply(self, blocks: Sequence[Block]) -> Sequence[Block]:
        """Apply the hooks on lines and, if both sides are text, on pairs; `blocks` are one per side."""
        if self.tokens.preprocess is not None:
            blocks = [self._side(block) for block in blocks]
        if self.pairs is None or len(blocks) != 2:
            return blocks
        src, tgt = blocks
        if not isinstance(src, LineBlock) or not isinstance(tgt, LineBlock):
            return blocks
        changed = self.pairs(src.lines(), tgt.lines())
        return blocks if changed is None else [_changed(src, changed[0]), _changed(tgt, changed[1])]

    def _side(self, block: Block) -> Block:
        if not isinstance(block, LineBlock):
            return block
        return _changed(block, self.tokens.preprocessed(block.lines()))


NO_CORPUS_HOOKS: Final = CorpusHooks()


def make_tokenizer(options: TokenizerOptions, hooks: TokenizerHooks = NO_HOOKS) -> Tokenizer | None:
    """Build the tokenizer that the options describe; None if it would only split at blanks."""
    hooked = hooks.tokenize is not None or hooks.post_tokenize is not None
    plain = options.mode == "space" and not (
        options.bpe_model or options.case_feature or options.segment_case
    )
    return None if plain and not hooked else Tokenizer.of(options, hooks)


def _changed(block: LineBlock, lines: Sequence[str]) -> LineBlock:
    """Return the block with other lines; if there are more or fewer, their line numbers are approximate."""
    try:
        data = "".join(line + "\n" for line in lines).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{block.where(0)} and following: a hook returned text that is not valid Unicode"
        ) from error
    if data.count(b"\n") != len(lines):
        raise DataError(f"{block.where(0)} and following: a hook returned a line break inside a line")
    numbers = block.numbers
    if len(lines) != len(block):
        last = len(block) - 1
        numbers = [block.numbers[min(index, last)] for index in range(len(lines))]
    return replace(block, data=data, numbers=numbers)
