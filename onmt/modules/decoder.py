"""Recurrent decoder with attention and input feeding (OpenNMT-lua onmt/modules/Decoder.lua).

B batch, T target steps, R rows of a search (B x K), H hidden, E embedding.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from onmt.kernels.decoder import FedDecoder
from onmt.kernels.decoder_parts import (
    DecoderPlan,
    DecoderWeights,
    LinearWeights,
    PlanMasks,
    ReadKind,
    ReadWeights,
)
from onmt.kernels.products import Multiplying
from onmt.modules.attention import Attention
from onmt.modules.copying import CopyGate, CopySource
from onmt.modules.embeddings import Embeddings
from onmt.modules.encoding import Encoding
from onmt.modules.noise import Noise, TrainingStep, dropped
from onmt.modules.rnn import RecurrentStack, StackMasks, States
from onmt.spec.model import DecoderSpec

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class DecoderState:
    """The state of a search. hidden: the stack's states, R rows each; feed: R and `fed_size`, or None; keys,
    memory B S H and mask B S are shared by the rows of a sentence, which are adjacent; order B S' and copies
    as in Encoding; coverage R S: attention received so far, if the spec asks for it. A language model has no
    memory.
    """

    hidden: States
    feed: Tensor | None = None
    keys: Tensor | None = None
    memory: Tensor | None = None
    mask: Tensor | None = None
    order: Tensor | None = None
    coverage: Tensor | None = None
    copies: CopySource | None = None

    def expand(self, beam: int) -> "DecoderState":
        """Repeat every row `beam` times: from R to R x beam rows."""
        return self._select(lambda rows: rows.repeat_interleave(beam, dim=0))

    def reorder(self, rows: Tensor) -> "DecoderState":
        """Select these rows. Each row must come from its own sentence, with equal numbers per sentence."""
        return self._select(lambda state: state.index_select(0, rows))

    def keep(self, sentences: Tensor) -> "DecoderState":
        """Keep only these sentences (indices into B) with all their rows."""

        def of_sentences(rows: Tensor, count: int) -> Tensor:
            return rows.reshape(count, -1, *rows.shape[1:])[sentences].flatten(0, 1)

        count = self.hidden[0].shape[0] if self.memory is None else self.memory.shape[0]
        kept = self._select(lambda rows: of_sentences(rows, count))
        return replace(
            kept,
            keys=None if self.keys is None else self.keys[sentences],
            memory=None if self.memory is None else self.memory[sentences],
            mask=None if self.mask is None else self.mask[sentences],
            order=None if self.order is None else self.order[sentences],
            copies=None if self.copies is None else self.copies.keep(sentences),
        )

    def _select(self, select: Callable[[Tensor], Tensor]) -> "DecoderState":
        return replace(
            self,
            hidden=tuple(select(state) for state in self.hidden),
            feed=None if self.feed is None else select(self.feed),
            coverage=None if self.coverage is None else select(self.coverage),
        )


class DecoderStep(NamedTuple):
    """One step: output R H, attention R S (None without attention), the next state.

    overlap: R, the sum over s of min(attention, coverage before the step), only with coverage. gate: R, the
    logit of generating a word rather than copying one, if the decoder can copy.
    """

    output: Tensor
    attention: Tensor | None
    state: DecoderState
    overlap: Tensor | None = None
    gate: Tensor | None = None


@dataclass(frozen=True)
class Decoded:
    """All steps of known targets: outputs B T H, overlap and gate B T: see `DecoderStep`.

    attention B T S and copies, those of the encoding: only if the decoder can copy.
    """

    outputs: Tensor
    overlap: Tensor | None = None
    gate: Tensor | None = None
    attention: Tensor | None = None
    copies: CopySource | None = None

    @classmethod
    def of(cls, steps: Sequence[DecoderStep]) -> "Decoded":
        """Stack the steps along dimension 1."""

        def joined(tensors: Iterable[Tensor | None]) -> Tensor | None:
            found = [tensor for tensor in tensors if tensor is not None]
            return torch.stack(found, dim=1) if found else None

        return cls(
            torch.stack([step.output for step in steps], dim=1),
            joined(step.overlap for step in steps),
            joined(step.gate for step in steps),
            joined(None if step.gate is None else step.attention for step in steps),
            steps[-1].state.copies,
        )


@dataclass(frozen=True)
class DecoderMasks:
    """Dropout masks of one pass: those of the stack, and one on the attentional output, T B H."""

    stack: StackMasks | None = None
    output: Tensor | None = None

    def at(self, step: int) -> "DecoderMasks":
        """The masks of one step."""
        return DecoderMasks(
            None if self.stack is None else self.stack.at(step),
            None if self.output is None else self.output[step],
        )


class Decoder(Multiplying):
    """in_t = [embedding of y_{t-1}; feed_{t-1}], h_t = stack(in_t), output_t = tanh(W [context_t; h_t]) or
    h_t itself.
    """

    def __init__(self, spec: DecoderSpec, memory_size: int, key_size: int, embeddings: Embeddings) -> None:
        """memory_size, key_size: widths of the attention's values and keys."""
        super().__init__()
        self.spec = spec
        self.embeddings = embeddings
        self.stack = RecurrentStack(spec.stack, embeddings.output_size + fed_size(spec, memory_size))
        self.output_size = self.stack.output_size
        self.attention: Attention | None = None
        if spec.attention.score != "none":
            self.attention = Attention(spec.attention, self.output_size, key_size)
        self.memory_size = memory_size
        self.mix_weight: nn.Parameter | None = None
        self.mix_bias: nn.Parameter | None = None
        if spec.mix != "identity":
            self.mix_weight = nn.Parameter(torch.empty(self.output_size, memory_size + self.output_size))
        if spec.mix == "tanh_bias":
            self.mix_bias = nn.Parameter(torch.empty(self.output_size))
        self.copy_gate: CopyGate | None = None
        if spec.copies:
            read = embeddings.output_size + fed_size(spec, memory_size)
            self.copy_gate = CopyGate(memory_size + self.output_size + read)

    def start(self, encoding: Encoding, states: States) -> DecoderState:
        """Return the state before the first step: states from the bridge, and a zero feed."""
        feed = None
        if self.spec.feed != "none":
            width = fed_size(self.spec, self.memory_size)
            feed = encoding.memory.new_zeros(encoding.memory.shape[0], width)
        keys = None if self.attention is None else self.attention.keys(encoding)
        coverage = None
        if self.spec.attention.coverage:
            coverage = encoding.memory.new_zeros(encoding.memory.shape[:2])
        copies = encoding.copies if self.spec.copies else None
        return DecoderState(
            states, feed, keys, encoding.memory, encoding.mask, encoding.order, coverage, copies
        )

    def step(self, tokens: Tensor, state: DecoderState, masks: DecoderMasks | None = None) -> DecoderStep:
        """Compute the next step from the tokens R F of the previous one."""
        return self._step_embedded(self.embeddings(tokens), state, masks or DecoderMasks())

    def forward(
        self,
        inputs: Tensor,
        encoding: Encoding,
        states: States,
        training: TrainingStep | None,
        predict: Predict | None = None,
    ) -> Tensor:
        """All steps of known targets: inputs B T F -> outputs B T H.

        `predict` (outputs B H -> word ids B) supplies the words that replace gold words in scheduled
        sampling.
        """
        if training is not None and training.gold_probability < 1:
            return self.forward_by_steps(inputs, encoding, states, training, predict).outputs
        batch, steps = inputs.shape[:2]
        masks = self.draw_masks(training.noise if training else None, steps, batch)
        state = self.start(encoding, states)
        embedded = self.embeddings(inputs.transpose(0, 1))
        if self.spec.feed == "none":
            return self._forward_at_once(embedded, state, masks)
        if self.stack.has_kernel and not self.stack.joins_input(0):
            return self.forward_kernel(embedded, state, masks)
        return self.forward_plain(embedded, state, masks)

    def forward_by_steps(
        self,
        inputs: Tensor,
        encoding: Encoding,
        states: States,
        training: TrainingStep | None,
        predict: Predict | None = None,
    ) -> Decoded:
        """As `forward`, step by step, including the values of every step that coverage and copying need."""
        batch, steps = inputs.shape[:2]
        masks = self.draw_masks(training.noise if training else None, steps, batch)
        state = self.start(encoding, states)
        if training is not None and training.gold_probability < 1:
            assert predict is not None
            return Decoded.of([*self._sampling_steps(inputs, state, masks, training, predict)])
        return Decoded.of([*self._plain_steps(self.embeddings(inputs.transpose(0, 1)), state, masks)])

    def draw_masks(self, noise: Noise | None, steps: int, batch: int) -> DecoderMasks:
        """Draw the dropout masks for all steps of a batch."""
        if noise is None:
            return DecoderMasks()
        stack = self.stack.draw_masks(noise, steps, batch)
        like = self.embeddings.words
        shape = (steps, batch, self.output_size)
        return DecoderMasks(stack, noise.dropout_mask(shape, self.spec.output_dropout, like))

    def _step_embedded(self, embedded: Tensor, state: DecoderState, masks: DecoderMasks) -> DecoderStep:
        """Compute one step from the embedded previous token, R E."""
        inputs = embedded if state.feed is None else torch.cat([embedded, state.feed], dim=-1)
        query, hidden = self.stack.step(inputs, state.hidden, masks.stack)
        output, context, weights = self._attend(query, state, masks.output)
        feed = {"output": output, "context": context, "none": None}[self.spec.feed]
        following = replace(state, hidden=hidden, feed=feed)
        gate = None
        if self.copy_gate is not None:
            assert context is not None
            gate = self.copy_gate(context, query, inputs)
        if state.coverage is None:
            return DecoderStep(output, weights, following, None, gate)
        assert weights is not None
        overlap = torch.minimum(weights, state.coverage).sum(dim=1)
        following = replace(following, coverage=state.coverage + weights)
        return DecoderStep(output, weights, following, overlap, gate)

    def forward_kernel(self, embedded: Tensor, state: DecoderState, masks: DecoderMasks) -> Tensor:
        """Compute all steps with input feeding by the hand-derived function. T B E -> B T H."""
        assert state.memory is not None
        stack = self.stack
        kind: ReadKind = "none"
        read = ReadWeights()
        if self.attention is not None:
            kind, read = self.attention.kernel_parts(self.output_size)
        entry = stack.entry
        weights = DecoderWeights(
            stack.kernel_layers(),
            read,
            LinearWeights() if entry is None else LinearWeights(entry.weight, entry.bias),
            LinearWeights(self.mix_weight, self.mix_bias),
        )
        nothing: tuple[Tensor | None, ...] = (None,) * self.spec.stack.layers
        of_stack = masks.stack or StackMasks(nothing, nothing, nothing)
        plan_masks = PlanMasks(of_stack.inputs, of_stack.recurrent, of_stack.outputs, masks.output)
        outputs: Tensor = FedDecoder.apply(
            self._plan(kind),
            plan_masks,
            state.mask,
            embedded,
            state.memory,
            state.keys,
            *state.hidden,
            *weights.flattened(),
        )
        return outputs.transpose(0, 1)

    def _plan(self, read: ReadKind) -> DecoderPlan:
        """The description of this decoder for the kernel."""
        spec = self.spec
        assert spec.feed != "none"
        return DecoderPlan(
            cell=spec.stack.cell.kind,
            states=spec.stack.cell.states,
            layers=spec.stack.layers,
            residual=spec.stack.residual,
            residual_dense=spec.stack.residual_dense,
            joins=tuple(self.stack.joins_input(index) for index in range(spec.stack.layers)),
            feed=spec.feed,
            read=read,
            dtype=self.products.dtype,
        )

    def forward_plain(self, embedded: Tensor, state: DecoderState, masks: DecoderMasks) -> Tensor:
        """Compute all steps one by one: the plain twin of the kernel, also used for cells without one.
        T B E -> B T H.
        """
        return Decoded.of([*self._plain_steps(embedded, state, masks)]).outputs

    def _plain_steps(
        self, embedded: Tensor, state: DecoderState, masks: DecoderMasks
    ) -> Iterator[DecoderStep]:
        for t, part in enumerate(embedded):
            step = self._step_embedded(part, state, masks.at(t))
            state = step.state
            yield step

    def _forward_at_once(self, embedded: Tensor, state: DecoderState, masks: DecoderMasks) -> Tensor:
        """Compute each layer over the whole sequence, as no step needs another's output. T B E -> B T H."""
        hidden, _ = self.stack(embedded, state.hidden, None, masks.stack)
        queries = hidden.transpose(0, 1)
        context, _ = self._read(queries, state)
        outputs = self._mix(context, queries)
        return outputs if masks.output is None else outputs * masks.output.transpose(0, 1)

    def _sampling_steps(
        self,
        inputs: Tensor,
        state: DecoderState,
        masks: DecoderMasks,
        training: TrainingStep,
        predict: Predict,
    ) -> Iterator[DecoderStep]:
        """Compute all steps with scheduled sampling (Bengio et al. 2015): from step 2 on, the model's own
        best guess may replace a gold word. Features stay gold. No gradient flows through the choice. inputs:
        B T F.
        """
        batch, steps, _ = inputs.shape
        coins = training.noise.uniform(
            (batch, steps if training.sampling_scope == "token" else 1), inputs.device
        )
        own = (coins > training.gold_probability).expand(batch, steps)
        step: DecoderStep | None = None
        for t in range(steps):
            tokens = inputs[:, t]
            if step is not None:
                words = torch.where(own[:, t], predict(step.output.detach()), tokens[:, 0])
                tokens = torch.cat([words[:, None], tokens[:, 1:]], dim=1)
                state = step.state
            step = self._step_embedded(self.embeddings(tokens), state, masks.at(t))
            yield step

    def _attend(
        self, query: Tensor, state: DecoderState, output_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """query R H -> output R H, context R M, attention R S (each None without attention)."""
        assert state.memory is not None
        sentences = state.memory.shape[0]
        coverage = state.coverage
        context, weights = self._read(
            query.reshape(sentences, -1, query.shape[-1]),
            state,
            None if coverage is None else coverage.reshape(sentences, -1, coverage.shape[-1]),
        )
        context = None if context is None else context.flatten(0, 1)
        output = dropped(self._mix(context, query), output_mask)
        return output, context, None if weights is None else weights.flatten(0, 1)

    def _read(
        self, queries: Tensor, state: DecoderState, coverage: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """queries B Q H, coverage B Q S -> context B Q M, attention B Q S."""
        if self.attention is None:
            return None, None
        assert state.keys is not None
        assert state.memory is not None
        context, weights = self.attention(queries, state.keys, state.memory, state.mask, coverage)
        return context, weights

    def _mix(self, context: Tensor | None, query: Tensor) -> Tensor:
        if self.mix_weight is None or context is None:
            return query
        return torch.tanh(
            self.products.linear(torch.cat([context, query], dim=-1), self.mix_weight, self.mix_bias)
        )


def fed_size(spec: DecoderSpec, memory_size: int) -> int:
    """Width of the fed-back vector, which is concatenated with the embedding in the decoder's input."""
    if spec.feed == "none":
        return 0
    # A `concat` residual widens the output by the input, so an output fed back would be wider than itself.
    assert spec.feed == "context" or spec.stack.residual != "concat"
    return spec.stack.layer_size if spec.feed == "output" else memory_size
