"""A recurrent language model: one stack that predicts the next token of `<s> w1..wn </s>`."""

from torch import Tensor

from onmt.data.batch import Batch
from onmt.models.base import Model, Step, drop_words
from onmt.models.encoders import build_encoder
from onmt.modules.decoder import DecoderState
from onmt.modules.embeddings import Embeddings
from onmt.modules.encoders.recurrent import RecurrentEncoder
from onmt.modules.generator import Generator, Loss
from onmt.modules.noise import TrainingStep
from onmt.modules.rnn import RecurrentStack
from onmt.spec.layers import RecurrentEncoderSpec
from onmt.spec.model import ModelSpec


class LanguageModel(Model):
    """OpenNMT-lua onmt/LanguageModel.lua. Any encoder that looks ahead would see what it has to predict."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        assert isinstance(spec.encoder, RecurrentEncoderSpec)
        assert spec.encoder.kind == "rnn"
        assert spec.source.kind == "embeddings"
        self.source = Embeddings(spec.source)
        self.encoder = build_encoder(spec.encoder, self.source.output_size)
        self.generator = Generator(self.stack.output_size, spec.outputs)

    @property
    def stack(self) -> RecurrentStack:
        """The recurrent layers."""
        assert isinstance(self.encoder, RecurrentEncoder)
        assert self.encoder.stack is not None
        return self.encoder.stack

    def loss(self, batch: Batch, step: TrainingStep | None) -> Loss:
        """See `Model.loss`. The words counted include `<s>`, as in Lua's reported perplexity."""
        read = drop_words(batch.src, self.spec.word_dropout, step)
        host = batch.lengths_if_uneven
        host = None if host is None else host - 1
        noise = step.noise if step else None
        encoding = self.encoder(self.source(read[:, :-1]), batch.src_lengths - 1, host, noise)
        words = step.output_words if step else None
        smoothing = step.label_smoothing if step else 0.0
        scale = step.loss_scale if step else None
        total, losses = self.generator.negative_log_likelihood(
            encoding.memory, read[:, 1:], words, smoothing, scale
        )
        return Loss(total, *self.counts(batch), losses)

    def counts(self, batch: Batch) -> tuple[int, int]:
        """See `Model.counts`."""
        return batch.src_words, batch.size

    def start(self, rows: int) -> DecoderState:
        """The state before the first token, for this many sequences."""
        return DecoderState(self.stack.zero_states(rows))

    def step(self, tokens: Tensor, state: DecoderState) -> Step:
        """tokens R F -> log-probabilities of the next tokens."""
        output, hidden = self.stack.step(self.source(tokens), state.hidden, None)
        return Step(self.generator(output), None, DecoderState(hidden))
