"""The files of one run of translate.py: translations, attention, the search, pictures."""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from onmt.decoding.array_files import ArrayFile, holds_arrays
from onmt.decoding.hypotheses import History
from onmt.decoding.inputs import ResultFile
from onmt.decoding.options import TranslateOptions
from onmt.decoding.output import attention_array, attention_block, beam_json, encoding_line, write_beams
from onmt.decoding.plots import AttentionPlots
from onmt.decoding.sentences import Source
from onmt.decoding.translator import Hypothesis, Translation, Translator
from onmt.errors import OptionError


class Results:
    """Takes results in the order of the input; use as a context manager, and `finish` at the end.

    Raises DataError when a file cannot be written, OptionError for pictures that cannot be.
    """

    def __init__(self, options: TranslateOptions, translator: Translator) -> None:
        attention, beams = options.save_attention, options.save_beam_to
        self._options = options
        self._translator = translator
        self._output = ResultFile(options.output)
        self._attention_text = ResultFile("" if holds_arrays(attention) else attention)
        self._attention_arrays = ArrayFile(attention if holds_arrays(attention) else "")
        self._beam_text = ResultFile("" if holds_arrays(beams) else beams)
        self._beam_arrays = ArrayFile(beams if holds_arrays(beams) else "")
        self._past: list[History | None] = []
        self._plots: AttentionPlots | None = None
        self._attention_count = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._options.plot_attention:
                self._plots = self._open_plots()
            stack.enter_context(self._output)
            stack.enter_context(self._attention_text)
            stack.enter_context(self._attention_arrays)
            stack.enter_context(self._beam_text)
            stack.enter_context(self._beam_arrays)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def empty(self) -> None:
        """Write the results of a source without tokens, so that files without numbers of sentences stay in
        step with the input: -n_best empty translations, or one empty line instead of an encoding.
        """
        if self._options.dump_input_encoding:
            self._output.write("\n")
            return
        for _ in range(self._options.n_best):
            self._output.write("\n")
            if holds_arrays(self._options.save_attention):
                self._add_attention(np.zeros((0, 0), dtype=np.float32))
        if self._options.save_beam_to:
            self._past.append(None)

    def encoding(self, index: int, encoding: npt.NDArray[np.float32]) -> None:
        """Write the encoding of a sentence; index: its number, from 1."""
        self._output.write(encoding_line(index, encoding) + "\n")

    def translation(self, index: int, source: Source, translation: Translation, texts: Sequence[str]) -> None:
        """Write the translations of a sentence; index: its number, from 1; texts: the hypotheses as they are
        to be written.
        """
        for text, hypothesis in zip(texts, translation.hypotheses, strict=True):
            self._output.write(text + "\n")
            if holds_arrays(self._options.save_attention):
                self._add_attention(attention_array(hypothesis, source))
            elif self._options.save_attention:
                self._attention_text.write(attention_block(index, text, hypothesis, source))
        if self._options.save_beam_to:
            self._past.append(translation.history)
        if self._plots is not None:
            self._plot(self._plots, index, source, translation.hypotheses[0])

    def flush(self) -> None:
        """What has been written so far can be read by others."""
        self._output.flush()
        self._attention_text.flush()

    def finish(self) -> None:
        """Write what can be written only when all is known."""
        path, words = self._options.save_beam_to, self._translator.target_vocabulary
        if holds_arrays(path):
            write_beams(self._beam_arrays, self._past, words, self._options.beam_size)
        elif path:
            self._beam_text.write(beam_json(self._past, words))

    def _add_attention(self, weights: npt.NDArray[np.float32]) -> None:
        """Write the attention of the next line of the output; arrays are named as numpy.savez names them."""
        self._attention_arrays.add(f"arr_{self._attention_count}", weights)
        self._attention_count += 1

    def _open_plots(self) -> AttentionPlots:
        if not self._translator.attends:
            raise OptionError("-plot_attention needs a model with attention; this one has none")
        plots = AttentionPlots(self._options.plot_attention)
        if self._translator.image_size is not None:
            plots.refuse_to_overwrite()
        return plots

    def _plot(self, plots: AttentionPlots, index: int, source: Source, best: Hypothesis) -> None:
        weights = best.attention
        if weights is None or weights.size == 0:
            return
        grid = self._translator.image_grid
        if source.picture is not None and grid is not None:
            plots.image(index, best.words, source.picture.colours, grid, weights)
            return
        width = weights.shape[1]
        words = source.words if len(source.words) == width else [str(place + 1) for place in range(width)]
        plots.table(index, best.words, words, weights)
