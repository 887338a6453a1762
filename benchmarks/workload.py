"""The work that is measured: one training step, and the translation of one batch."""

import time
from copy import deepcopy
from dataclasses import dataclass

import torch

from benchmarks.flops import training_flops, translation_flops
from benchmarks.options import EncoderName, WorkloadOptions
from onmt.constants import BOS, EOS
from onmt.data.dataset import Batch
from onmt.decoding.beam_search import SearchBatch, beam_search
from onmt.decoding.hypotheses import Trace
from onmt.decoding.scoring import ModelScorer
from onmt.decoding.step import SearchSettings
from onmt.kernels.products import Products, multiply_with
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.noise import Noise, TrainingStep
from onmt.runtime.random import torch_generator
from onmt.spec.model import ModelSpec
from onmt.training.gradients import Clipping
from onmt.training.optim import Sgd

MAX_GRAD_NORM = 5.0
LEARNING_RATE = 1e-3  # small, so that the model hardly changes from round to round


@dataclass(frozen=True)
class Measured:
    """One run of the work: seconds, FLOP of its matrix products, sentences and tokens processed."""

    seconds: float
    flops: int
    sentences: int
    source_tokens: int
    target_tokens: int


def spec_for(encoder: EncoderName, options: WorkloadOptions) -> ModelSpec:
    """The benchmark's model: sizes from the options, Lua's defaults otherwise."""
    flags = Seq2SeqModelOptions(
        encoder_type=encoder,
        brnn_merge="concat",
        layers=options.layers,
        rnn_size=options.rnn_size,
        cnn_size=options.rnn_size,
        word_vec_size=options.rnn_size,
        bridge="dense" if encoder == "cnn" else "copy",
    )
    return spec_from_options(flags, DataSizes(src=(options.vocabulary,), tgt=(options.vocabulary,)))


class Workload:
    """A model with random weights, and random sentences of equal length to train on and to translate."""

    def __init__(self, spec: ModelSpec, options: WorkloadOptions, seed: int, device: torch.device) -> None:
        model = build_model(spec)
        assert isinstance(model, Seq2Seq)
        dtype = torch.bfloat16 if options.precision == "bf16" else None
        multiply_with(model, Products(dtype))
        model.initialise(0.1, torch_generator(seed, "parameters"))
        self.model = model.to(device)
        self.options = options
        self._device = device
        self._noise = Noise(torch_generator(seed, "dropout", device=device))
        self._translating = deepcopy(self.model)
        multiply_with(self._translating, Products(dtype, frozen=True))
        self._optimizer = Sgd(dict(model.named_parameters()))
        words = torch_generator(seed, "words")
        self._batch = random_batch(options, options.train_batch, words).to(device)
        self._to_translate = random_batch(options, options.translate_batch, words).to(device)

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def train(self) -> Measured:
        """Time one step with the trainer's parts: loss, gradients, clipping, update."""
        batch, options = self._batch, self.options
        started = now(self._device)
        for parameter in self._optimizer.parameters:
            parameter.grad = None
        loss = self.model.loss(batch, TrainingStep(self._noise))
        loss.total.backward()
        gradients = [parameter.grad for parameter in self._optimizer.parameters if parameter.grad is not None]
        Clipping(MAX_GRAD_NORM).apply(gradients, batch.size)
        self._optimizer.step(gradients, LEARNING_RATE)
        seconds = now(self._device) - started
        lengths = [(options.source_length, options.target_length)] * batch.size
        flops = training_flops(self.model.spec, lengths)
        return Measured(seconds, flops, batch.size, batch.src_words, batch.tgt_words)

    def translate(self) -> Measured:
        """Time beam search over one batch. A random model rarely ends a sentence before the length limit."""
        batch, options = self._to_translate, self.options
        settings = SearchSettings(beam_size=options.beam_size, max_length=options.target_length - 1)
        started = now(self._device)
        with torch.inference_mode():
            encoding = self._translating.encode(batch.src, batch.src_lengths, batch.lengths_on_host)
            scorer = ModelScorer(self._translating, self._translating.start(encoding), options.beam_size)
            mask = torch.ones(encoding.memory.shape[:2], dtype=torch.bool, device=self._device)
            result = beam_search(scorer, SearchBatch(batch.src_lengths, mask), settings)
        seconds = now(self._device) - started
        steps = steps_taken(result.traces, batch.size)
        flops = translation_flops(
            self.model.spec, [(options.source_length, count) for count in steps], options.beam_size
        )
        written = sum(len(best.tokens) + 1 for best, *_ in result.paths)
        return Measured(seconds, flops, batch.size, batch.src_words, written)


def steps_taken(traces: list[Trace], sentences: int) -> list[int]:
    """Number of search steps for each sentence until it was done."""
    alive = torch.cat([trace.sentences for trace in traces]).cpu()
    return torch.bincount(alive, minlength=sentences).tolist()


def random_batch(options: WorkloadOptions, sentences: int, generator: torch.Generator) -> Batch:
    """Sentences of random words, all of the same length."""

    def words(length: int) -> torch.Tensor:
        return torch.randint(EOS + 1, options.vocabulary, (sentences, length, 1), generator=generator)

    target = words(options.target_length - 1)
    first, last = (torch.full((sentences, 1, 1), symbol) for symbol in (BOS, EOS))
    return Batch(
        src=words(options.source_length),
        src_lengths=torch.full((sentences,), options.source_length),
        tgt_input=torch.cat([first, target], dim=1),
        tgt_output=torch.cat([target, last], dim=1),
        size=sentences,
        src_words=sentences * options.source_length,
        tgt_words=sentences * options.target_length,
        indices=torch.arange(sentences),
    )


def now(device: torch.device) -> float:
    """The time in seconds, after waiting for all work queued on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
