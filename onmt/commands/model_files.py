"""The scripts that read and write model files: import, inspect, release and average."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onmt.commandline.declare import existing_file, existing_model, not_empty, option
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.commandline.values import text_of
from onmt.errors import CheckpointError, OptionError
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.options import DeviceOptions
from onmt.training.options import describing_flags

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LuaModelOptions:
    """Lua model"""

    model: str = option(
        "",
        "Model to convert: a `.t7` file as OpenNMT Lua saves or releases it.",
        required=True,
        valid=existing_file,
    )
    output: str = option(
        "", "File for the converted model; by default `-model` with the ending `.pt`.", writes=("{}",)
    )
    force: bool = option(False, "Replace `-output` if it exists.")


@dataclass(frozen=True, kw_only=True)
class ImportLuaModelOptions(LuaModelOptions, LoggerOptions):
    """Import a Lua model"""

    @property
    def target(self) -> Path:
        """The file to write."""
        return Path(self.output) if self.output else Path(self.model).with_suffix(".pt")


def _import_lua_model(parsed: Parsed[ImportLuaModelOptions], logger: Logger) -> None:
    """Convert and save; an existing file is replaced only with `-force`."""
    target = parsed.options.target
    _check_output(target, "-output", parsed.options.force)

    from onmt.checkpoint import save_checkpoint
    from onmt.models.loading import refuse_weights_not_finite
    from onmt.torch7.convert import convert_model

    logger.info(f"Loading '{parsed.options.model}'...")
    content = convert_model(parsed.options.model)
    refuse_weights_not_finite(content["weights"], parsed.options.model)
    for note in content.pop("notes"):
        logger.warning(note)
    parameters = sum(weight.numel() for weight in content["weights"].values())
    training = "with the state of its training" if "training" in content else "released"
    logger.info(f" * {content['spec']['model_type']} model, {parameters} parameters, {training}")
    save_checkpoint(target, content)
    logger.info(f"Saved '{target}'.")


import_lua_model = Command(
    Script(
        name="tools/import_lua_model.py",
        summary="Converts a model of OpenNMT Lua, released or not: a translation model, language model or "
        "tagger.",
        choose=lambda _: ImportLuaModelOptions,
    ),
    _import_lua_model,
)


@dataclass(frozen=True, kw_only=True)
class InspectedModelOptions:
    """Inspected model"""

    model: str = option(
        "",
        "Model to inspect: a `.pt` file, or a `.t7` file of OpenNMT Lua.",
        required=True,
        valid=existing_model,
    )


@dataclass(frozen=True, kw_only=True)
class InspectModelOptions(InspectedModelOptions, LoggerOptions):
    """Inspect a model"""


def _inspect_model(parsed: Parsed[InspectModelOptions], logger: Logger) -> None:
    """Print the description of the model, and warn about a model with weights that are not finite."""
    from onmt.models.loading import find_model, first_not_finite, read_any_content

    path = find_model(parsed.options.model)
    content = read_any_content(path)
    name = first_not_finite(content["weights"])
    if name is not None:
        logger.warning(f"the model is useless: '{name}' has numbers that are not finite")
    for note in content.get("notes", ()):
        logger.warning(note)
    print("\n".join(describe(path, content)))


inspect_model = Command(
    Script(
        name="tools/inspect_model.py",
        summary="Prints what a model file contains: origin, description, vocabularies, sizes, training "
        "state, options.",
        choose=lambda _: InspectModelOptions,
        data_on_stdout=lambda _: True,
    ),
    _inspect_model,
)


def describe(path: str, content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that describe a checkpoint: sections of `name: value` or `name = value`."""
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
    """Yield the values of nested dicts and of lists of dicts under dotted names."""
    for name, value in values.items():
        if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(frozen=True, kw_only=True)
class ReleaseOptions:
    """Release"""

    model: str = option(
        "",
        "Model to release: a `.pt` file, or a `.t7` file of OpenNMT Lua.",
        valid=existing_model,
        required=True,
    )
    output_model: str = option(
        "", "File to write; by default `-model` with the ending `_release.pt`.", writes=("{}",)
    )
    force: bool = option(False, "Replace `-output_model` if it exists.")


@dataclass(frozen=True, kw_only=True)
class ReleaseModelOptions(ReleaseOptions, DeviceOptions, LoggerOptions):
    """Release model"""


def _release_model(parsed: Parsed[ReleaseModelOptions], logger: Logger) -> None:
    """Write the model without its training state."""
    from onmt.checkpoint import save_checkpoint
    from onmt.models.loading import find_model, read_content

    options = parsed.options
    path = find_model(options.model)
    stem = path.removesuffix(".pt").removesuffix(".t7")  # other dots may belong to a score: `_epoch2_4.20`
    output = options.output_model or f"{stem}_release.pt"
    _check_output(output, "-output_model", options.force)
    logger.info(f"Loading model '{path}'...")
    content = read_content(path)
    logger.info("... done.")
    logger.info(f"Releasing model '{output}'...")
    save_checkpoint(output, {key: value for key, value in content.items() if key != "training"})
    logger.info("... done.")


release_model = Command(
    Script(
        name="tools/release_model.py",
        summary="Writes a model without its training state, which is only needed to continue training.",
        choose=lambda _: ReleaseModelOptions,
    ),
    _release_model,
)


def _check_output(path: str | Path, flag: str, force: bool) -> None:
    """Raise OptionError if the file that `flag` names exists, unless `force` is set."""
    if Path(path).exists() and not force:
        raise OptionError(f"'{path}' is there already: choose another {flag}, or replace it with -force")


@dataclass(frozen=True, kw_only=True)
class AverageOptions:
    """Average"""

    models: tuple[str, ...] = option(
        (), "Models to average, usually checkpoints of one training.", valid=existing_model
    )
    output_model: str = option("final_averaged.pt", "File to write.", valid=not_empty, writes=("{}",))
    force: bool = option(False, "Replace `-output_model` if it exists.")

    def check(self) -> None:
        """Require models to average."""
        if not self.models:
            raise OptionError("-models is missing: name the models to average")


@dataclass(frozen=True, kw_only=True)
class AverageModelsOptions(AverageOptions, DeviceOptions, LoggerOptions):
    """Average models"""


def _average_models(parsed: Parsed[AverageModelsOptions], logger: Logger) -> None:
    """Write the first model with the averaged weights, without its training state."""
    from tqdm import tqdm

    from onmt.checkpoint import save_checkpoint
    from onmt.models.loading import find_model, read_content

    options = parsed.options
    _check_output(options.output_model, "-output_model", options.force)
    paths = [find_model(path) for path in options.models]
    first: dict[str, Any] = {}
    sums: dict[str, Tensor] = {}
    for path in tqdm(paths, unit="model", disable=None, leave=False):
        logger.info(f"Loading model '{path}'...")
        content = read_content(path)
        if not first:
            first = content
            sums = {name: weight.double() for name, weight in content["weights"].items()}
        else:
            check_alike(content, path, first, paths[0])
            for name, weight in content["weights"].items():
                sums[name] += weight
        logger.info("... done.")
    first["weights"] = {
        name: (total / len(paths)).to(first["weights"][name].dtype) for name, total in sums.items()
    }
    logger.info(f"Saving model '{options.output_model}'...")
    save_checkpoint(options.output_model, {key: value for key, value in first.items() if key != "training"})
    logger.info("... done.")


average_models = Command(
    Script(
        name="tools/average_models.py",
        summary="Averages the parameters of several models, and writes the first model with the averages, "
        "released.",
        choose=lambda _: AverageModelsOptions,
    ),
    _average_models,
)


def check_alike(content: Mapping[str, Any], path: str, first: Mapping[str, Any], first_path: str) -> None:
    """Raise CheckpointError if a model's vocabularies or weight shapes differ from the first model's."""
    if content["vocabularies"] != first["vocabularies"]:
        raise CheckpointError(f"'{path}' has other vocabularies than '{first_path}': they cannot be averaged")
    shapes = [{name: weight.shape for name, weight in one["weights"].items()} for one in (content, first)]
    if shapes[0] != shapes[1]:
        raise CheckpointError(f"'{path}' has another structure than '{first_path}': they cannot be averaged")
