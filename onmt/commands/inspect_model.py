"""`tools/inspect_model.py`: prints what a model file holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onmt.commandline.declare import existing_model, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.commandline.values import text_of
from onmt.logger import Logger, LoggerOptions
from onmt.training.options import describing_flags


@dataclass(frozen=True, kw_only=True)
class InspectedModelOptions:
    """Inspected model"""

    model: str = option(
        "",
        "The model to look at, a `.pt` file or a `.t7` of OpenNMT Lua.",
        required=True,
        valid=existing_model,
    )


@dataclass(frozen=True, kw_only=True)
class InspectModelOptions(InspectedModelOptions, LoggerOptions):
    """Inspect a model"""


SCRIPT = Script(
    name="tools/inspect_model.py",
    summary="Prints what a model is: origin, description, vocabularies, sizes, state of training, options.",
    choose=lambda _: InspectModelOptions,
    data_on_stdout=lambda _: True,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[InspectModelOptions], logger: Logger) -> None:
    """Print the sections one after the other, `name: value` or `name = value` per line."""
    from onmt.models.loading import find_model, first_not_finite, read_any_content

    path = find_model(parsed.options.model)
    content = read_any_content(path)
    name = first_not_finite(content["weights"])
    if name is not None:
        logger.warning(f"the model is useless: '{name}' has numbers that are not finite")
    for note in content.get("notes", ()):
        logger.warning(note)
    print("\n".join(describe(path, content)))


def describe(path: str, content: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell what a checkpoint's content is."""
    yield f"file: {path}"
    yield f"origin: {content.get('origin', 'this program')}"
    yield f"program version: {content['version']}"
    yield f"file format: {content['format']}"
    yield f"model type: {content['spec']['model_type']}"
    yield f"data type: {content['data_type']}"
    yield ""
    yield from _vocabularies(content["vocabularies"])
    yield ""
    yield from _sizes(content["weights"])
    yield ""
    yield from _training(content.get("training"))
    idle = describing_flags() if content["options"].get("model") else ()
    options = {flag: value for flag, value in content["options"].items() if flag not in idle}
    for title, values in (("spec", content["spec"]), ("options", options)):
        yield ""
        yield f"{title}:"
        yield from (f"  {name} = {text_of(value)}" for name, value in sorted(_flat(values)))


def _vocabularies(state: Mapping[str, Any]) -> Iterator[str]:
    yield "vocabularies:"
    for side, key in (("source", "src"), ("target", "tgt")):
        for index, vocabulary in enumerate(state[key]):
            name = f"{side} feature {index}" if index else f"{side} words"
            counted = "" if vocabulary["frequencies"] is None else ", with frequencies"
            yield f"  {name}: {len(vocabulary['words'])}{counted}"
    if state["src_vector_size"]:
        yield f"  source vectors: {state['src_vector_size']} numbers each"
    if state.get("src_image_size"):
        height, width = state["src_image_size"]
        yield f"  source images: {height} x {width} pixels"


def _sizes(weights: Mapping[str, Any]) -> Iterator[str]:
    total = sum(weight.numel() for weight in weights.values())
    yield f"parameters: {total:,}"
    for name, weight in weights.items():
        yield f"  {name}: {' x '.join(map(str, weight.shape))}"


def _training(state: Mapping[str, Any] | None) -> Iterator[str]:
    if state is None:
        yield "training: none (a released model)"
        return
    yield "training:"
    yield f"  next epoch: {state['epoch']}"
    yield f"  next iteration: {state['iteration']}"
    yield f"  learning rate: {state['rate']['value']:g}"
    if state["rate"]["last_score"] is not None:
        yield f"  last validation score: {state['rate']['last_score']:.2f}"
    yield f"  minutes so far: {state['minutes']:.2f}"
    if state["gold_probability"] != 1:
        yield f"  probability of the gold word: {state['gold_probability']:g}"
    optimizer = state["optimizer"]
    yield f"  optimiser: {'no state' if optimizer is None else optimizer['name']}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested dicts, and lists of dicts, as dotted names."""
    for name, value in values.items():
        if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
