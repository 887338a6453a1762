"""A sequence tagger: one tag (with features) per source position."""

import torch
import torch.nn.functional as F
from torch import Tensor

from onmt.constants import PAD
from onmt.data.batch import Batch
from onmt.models.base import Model, drop_words
from onmt.models.encoders import build_encoder
from onmt.modules.crf import Transitions
from onmt.modules.embeddings import build_source
from onmt.modules.encoding import Encoding, padding_mask
from onmt.modules.generator import Generator, Loss
from onmt.modules.noise import TrainingStep
from onmt.spec.model import ModelSpec


class Tagger(Model):
    """OpenNMT-lua onmt/SeqTagger.lua. With `transitions` in its spec the loss is that of the whole tag
    sequence.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.source = build_source(spec.source)
        self.encoder = build_encoder(spec.encoder, self.source.output_size)
        self.generator = Generator(spec.encoder.memory_size(self.source.output_size), spec.outputs)
        self.transitions = Transitions(spec.outputs[0]) if spec.transitions else None

    def loss(self, batch: Batch, step: TrainingStep | None) -> Loss:
        """See `Model.loss`. Targets are tags w1..wn </s>; the end symbol is counted among the words, but not
        predicted.
        """
        assert batch.tgt_output is not None
        encoding = self._encode(batch.src, batch.src_lengths, batch.lengths_if_uneven, step)
        steps = batch.src.shape[1]
        targets = F.pad(batch.tgt_output[:, :steps], (0, 0, 0, max(0, steps - batch.tgt_output.shape[1])))
        targets = targets.masked_fill(~padding_mask(batch.src_lengths, steps)[..., None], PAD)
        if self.transitions is None:
            smoothing = step.label_smoothing if step else 0.0
            total, losses = self.generator.negative_log_likelihood(
                encoding.memory, targets, smoothing=smoothing, scale=step.loss_scale if step else None
            )
        else:
            emissions = self.generator(encoding.memory)[0]
            losses = self.transitions.negative_log_likelihood(emissions, targets[..., 0], batch.src_lengths)
            total = losses.sum()
        return Loss(total, *self.counts(batch), losses)

    def counts(self, batch: Batch) -> tuple[int, int]:
        """See `Model.counts`."""
        return batch.tgt_words, batch.size

    def log_probs(
        self, src: Tensor, src_lengths: Tensor, host_lengths: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """src B S F, src_lengths B -> log-probabilities B S V of each output.

        host_lengths: src_lengths on the CPU; without them the host waits for those on a device.
        """
        host = src_lengths.cpu() if host_lengths is None else host_lengths
        uneven = host if bool((host < src.shape[1]).any()) else None
        outputs: tuple[Tensor, ...] = self.generator(self._encode(src, src_lengths, uneven, None).memory)
        return outputs

    def tag(self, src: Tensor, src_lengths: Tensor, host_lengths: Tensor | None = None) -> Tensor:
        """src B S F, src_lengths B -> B S F: the best tags, then the best features (meaningless after a
        sentence's end); host_lengths as in `log_probs`.
        """
        log_probs = self.log_probs(src, src_lengths, host_lengths)
        best = [scores.argmax(-1) for scores in log_probs]
        if self.transitions is not None:
            best[0] = self.transitions.viterbi(log_probs[0], src_lengths)
        return torch.stack(best, dim=-1)

    def _encode(
        self, src: Tensor, lengths: Tensor, host_lengths: Tensor | None, step: TrainingStep | None
    ) -> Encoding:
        if not src.is_floating_point():
            src = drop_words(src, self.spec.word_dropout, step)
        encoding = self.encoder(self.source(src), lengths, host_lengths, step.noise if step else None)
        assert isinstance(encoding, Encoding)
        return encoding
