"""The three networks that a spec can describe: Seq2Seq, LanguageModel and Tagger; and `build_model`."""

from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from onmt.constants import PAD, UNK
from onmt.data.dataset import Batch, CopyIds
from onmt.data.vocabulary import Vocabularies
from onmt.models.base import (
    Model,
    Step,
    build_encoder,
    drop_words,
    in_original_order,
    transform_source,
    transformed_lengths,
)
from onmt.modules.copying import CopySource, pointer_log_probs, pointer_log_probs_of_gold
from onmt.modules.decoder import Decoded, Decoder, DecoderState
from onmt.modules.embeddings import Embeddings, build_source
from onmt.modules.encoding import Bridge, Encoding, padding_mask
from onmt.modules.generator import Generator, Loss, Transitions
from onmt.modules.noise import TrainingStep
from onmt.modules.recurrent_encoders import RecurrentEncoder
from onmt.modules.rnn import RecurrentStack
from onmt.spec.layers import RecurrentEncoderSpec
from onmt.spec.model import DecoderSpec, ModelSpec


class Seq2Seq(Model):
    """A sequence-to-sequence model, built from its spec."""

    copy_ids: Tensor | None
    """Map from source ids to the target ids of the same words, UNK if the target vocabulary lacks the word.
    Not stored in files.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        assert spec.decoder is not None
        assert spec.bridge is not None
        self.source = build_source(spec.source)
        width = self.source.output_size
        self.encoder = build_encoder(spec.encoder, width)
        self.bridge = Bridge(spec.bridge, spec.encoder.state_widths(width), spec.decoder.stack.state_widths)
        embeddings = self._target_embeddings(spec.decoder)
        memory, keys = spec.encoder.memory_size(width), spec.encoder.key_size(width)
        self.decoder = Decoder(spec.decoder, memory, keys, embeddings)
        self.generator = Generator(self.decoder.output_size, spec.outputs)
        if spec.decoder.ties_output:
            self.generator.tie(embeddings.words)
        self.register_buffer("copy_ids", None, persistent=False)

    def use_vocabularies(self, vocabularies: Vocabularies) -> None:
        """See `Model.use_vocabularies`."""
        if self.decoder.spec.copies:
            target, words = vocabularies.tgt[0], vocabularies.src[0].words
            self.copy_ids = torch.tensor([target.id(word) for word in words])

    def _target_embeddings(self, spec: DecoderSpec) -> Embeddings:
        if not spec.shares_source_embedding:
            return Embeddings(spec.embedding)
        assert isinstance(self.source, Embeddings)
        return self.source

    def encode(
        self,
        src: Tensor,
        src_lengths: Tensor,
        host_lengths: Tensor | None = None,
        copies: CopyIds | None = None,
    ) -> Encoding:
        """src B S F (vectors: B S D), right padded, or images B 3 H W; src_lengths B -> Encoding.

        host_lengths: src_lengths on the CPU; if None, the host waits for those on a device. copies: ids of
        the source words that also cover words outside the vocabulary, if known.
        """
        host = src_lengths.cpu() if host_lengths is None else host_lengths
        uneven = host if bool((host < src.shape[1]).any()) else None
        return self._encode(src, src_lengths, uneven, copies, None)

    def _encode(
        self,
        src: Tensor,
        lengths: Tensor,
        host_lengths: Tensor | None,
        copies: CopyIds | None,
        step: TrainingStep | None,
    ) -> Encoding:
        """host_lengths: lengths on the CPU, None if no sentence is shorter than S."""
        order = words = None
        if self.decoder.spec.copies:
            words = self._copy_source(src, lengths, copies)
        if self.spec.source.kind == "embeddings":
            src = drop_words(src, self.spec.word_dropout, step)
            src, lengths, order = transform_source(src, lengths, self.spec.policies)
            host_lengths = transformed_lengths(host_lengths, self.spec.policies)
        encoding = self.encoder(self.source(src), lengths, host_lengths, step.noise if step else None)
        assert isinstance(encoding, Encoding)
        return replace(encoding, order=order, copies=words)

    def _copy_source(self, src: Tensor, lengths: Tensor, copies: CopyIds | None) -> CopySource:
        """Return the words at the memory's positions."""
        ids, size = None, self.spec.outputs[0]
        if copies is not None:
            ids, size = copies.source, copies.size
        elif self.copy_ids is not None:
            ids = self.copy_ids[src[..., 0]]
        assert ids is not None, "a model that copies must be told its vocabularies"
        return CopySource(transform_source(ids[..., None], lengths, self.spec.policies)[0][..., 0], size)

    def loss(self, batch: Batch, step: TrainingStep | None) -> Loss:
        """See `Model.loss`. Features count in the total but not among the words.

        The coverage loss, the sum over steps and positions of min(attention, coverage) (See et al. 2017, eq.
        12), is multiplied by the step's weight for it. It contributes to the gradient but not to the value,
        which stays comparable.
        """
        counts = self.counts(batch)
        batch = self._with_target_limit(batch)
        assert batch.tgt_output is not None
        words = step.output_words if step else None
        smoothing = step.label_smoothing if step else 0.0
        decoded = self._decoded(batch, step)
        copying = None
        if decoded.gate is not None:
            copying = (decoded.gate, _copied(decoded, batch.tgt_output[..., 0]))
        total, losses = self.generator.negative_log_likelihood(
            decoded.outputs, batch.tgt_output, words, smoothing, step.loss_scale if step else None, copying
        )
        if step is not None and step.coverage_weight and decoded.overlap is not None:
            overlap = step.coverage_weight * (decoded.overlap * (batch.tgt_output[..., 0] != PAD)).sum()
            total = total + (overlap - overlap.detach())
        return Loss(total, *counts, losses)

    def counts(self, batch: Batch) -> tuple[int, int]:
        """See `Model.counts`."""
        words = self._with_target_limit(batch).tgt_words
        return words, words if self.spec.policies.loss_divisor == "tokens" else batch.size

    def _with_target_limit(self, batch: Batch) -> Batch:
        """Cut the targets of a batch to the limit of the model."""
        limit = self.spec.policies.target_limit
        if limit and batch.tgt_output is not None and batch.tgt_output.shape[1] > limit - 1:
            return _with_shorter_targets(batch, limit - 1)
        return batch

    def _decoded(self, batch: Batch, step: TrainingStep | None) -> Decoded:
        assert batch.tgt_input is not None
        encoding = self._encode(batch.src, batch.src_lengths, batch.lengths_if_uneven, batch.copies, step)
        states = self.bridge(encoding.states)
        predict = partial(self.generator.predict, words=step.output_words if step else None)
        if self.decoder.spec.attention.coverage or self.decoder.spec.copies:
            return self.decoder.forward_by_steps(batch.tgt_input, encoding, states, step, predict)
        return Decoded(self.decoder(batch.tgt_input, encoding, states, step, predict))

    def start(self, encoding: Encoding) -> DecoderState:
        """Return the state before the first step of a search, one row per sentence."""
        return self.decoder.start(encoding, self.bridge(encoding.states))

    def step(self, tokens: Tensor, state: DecoderState, generator: Generator | None = None) -> Step:
        """tokens R F of the previous step -> Step; `generator`, if given, replaces the model's own.

        If the decoder copies, words have the ids of `CopySource`, and words that the vocabulary lacks are
        read as `<unk>`.
        """
        if state.copies is not None:
            unknown = tokens[:, :1] >= self.spec.outputs[0]
            tokens = torch.cat([tokens[:, :1].masked_fill(unknown, UNK), tokens[:, 1:]], dim=1)
        output, attention, state, _, gate = self.decoder.step(tokens, state)
        log_probs, copying = (generator or self.generator)(output), None
        if state.copies is not None:
            assert attention is not None
            assert gate is not None
            log_probs = (pointer_log_probs(log_probs[0], gate, attention, state.copies), *log_probs[1:])
            copying = torch.sigmoid(-gate)
        if attention is not None and state.order is not None:
            attention = in_original_order(attention, state.order)
        return Step(log_probs, attention, state, copying)

    def score(self, batch: Batch) -> Tensor:
        """Return the summed log-probabilities of target words and end symbol (not of features), B float64."""
        return self.word_scores(batch).sum(1)

    def word_scores(self, batch: Batch) -> Tensor:
        """Return the log-probabilities of target words and end symbol, B T float64, 0 at padding."""
        assert batch.tgt_output is not None
        decoded = self._decoded(batch, None)
        log_probs = self.generator(decoded.outputs)[0]
        words = batch.tgt_output[..., 0]
        if decoded.gate is None:
            chosen = log_probs.gather(2, words[..., None])[..., 0]
        else:
            chosen = _with_copying(log_probs, decoded, words if batch.copies is None else batch.copies.target)
        return chosen.to(torch.float64) * (words != PAD)


def _with_copying(log_probs: Tensor, decoded: Decoded, words: Tensor | None) -> Tensor:
    """log_probs B T V of generating, words B T with the ids of `CopySource` -> the log-probabilities of these
    words under generating and copying together, B T.
    """
    assert words is not None
    assert decoded.gate is not None
    lacking = words >= log_probs.shape[2]
    generated = log_probs.gather(2, words.masked_fill(lacking, UNK)[..., None])[..., 0]
    generated = generated.masked_fill(lacking, -torch.inf)
    return pointer_log_probs_of_gold(generated, decoded.gate, _copied(decoded, words))


def _copied(decoded: Decoded, words: Tensor) -> Tensor:
    """words B T -> the attention on the positions that hold each of them, B T."""
    assert decoded.attention is not None
    assert decoded.copies is not None
    return decoded.copies.mass(decoded.attention, words)


def _with_shorter_targets(batch: Batch, steps: int) -> Batch:
    """Cut the targets of a batch to this many steps."""
    assert batch.tgt_input is not None
    assert batch.tgt_output is not None
    output = batch.tgt_output[:, :steps]
    if batch.host_tgt_lengths is None:
        words = int((output[..., 0] != PAD).sum())
    else:
        words = int(batch.host_tgt_lengths.clamp(max=steps).sum())
    return replace(batch, tgt_input=batch.tgt_input[:, :steps], tgt_output=output, tgt_words=words)


class LanguageModel(Model):
    """A language model (OpenNMT-lua onmt/LanguageModel.lua).

    Its encoder must be `rnn`: any encoder that looks ahead would see the words to predict.
    """

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
        """Return the state before the first token, for this many sequences."""
        return DecoderState(self.stack.zero_states(rows))

    def step(self, tokens: Tensor, state: DecoderState) -> Step:
        """tokens R F -> log-probabilities of the next tokens."""
        output, hidden = self.stack.step(self.source(tokens), state.hidden, None)
        return Step(self.generator(output), None, DecoderState(hidden))


class Tagger(Model):
    """A sequence tagger (OpenNMT-lua onmt/SeqTagger.lua). With `transitions` in its spec the loss is that of
    the whole tag sequence.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.source = build_source(spec.source)
        self.encoder = build_encoder(spec.encoder, self.source.output_size)
        self.generator = Generator(spec.encoder.memory_size(self.source.output_size), spec.outputs)
        self.transitions = Transitions(spec.outputs[0]) if spec.transitions else None

    def loss(self, batch: Batch, step: TrainingStep | None) -> Loss:
        """See `Model.loss`. Targets are tags w1..wn </s>. The end symbol counts among the words, but is not
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

        host_lengths: src_lengths on the CPU; if None, the host waits for those on a device.
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


MODELS: dict[str, type[Model]] = {"seq2seq": Seq2Seq, "lm": LanguageModel, "seqtagger": Tagger}


def build_model(spec: ModelSpec) -> Model:
    """Build a model with uninitialised parameters: load them, or call `initialise`. The only builder."""
    return MODELS[spec.model_type](spec)
