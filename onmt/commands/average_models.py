"""`tools/average_models.py`: one model out of several checkpoints of a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onmt.commandline.declare import existing_model, not_empty, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.commands.release_model import check_output
from onmt.errors import CheckpointError, OptionError
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.options import DeviceOptions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AverageOptions:
    """Average"""

    models: tuple[str, ...] = option(
        (), "Models to average, checkpoints of one training as a rule.", valid=existing_model
    )
    output_model: str = option("final_averaged.pt", "File to write.", valid=not_empty, writes=("{}",))
    force: bool = option(False, "Replace the file if it is there already.")

    def check(self) -> None:
        """There must be something to average."""
        if not self.models:
            raise OptionError("-models is missing: name the models to average")


@dataclass(frozen=True, kw_only=True)
class AverageModelsOptions(AverageOptions, DeviceOptions, LoggerOptions):
    """Average models"""


SCRIPT = Script(
    name="tools/average_models.py",
    summary="Averages the parameters of several models; the result is the first model with these, released.",
    choose=lambda _: AverageModelsOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[AverageModelsOptions], logger: Logger) -> None:
    """Write the averaged model."""
    from tqdm import tqdm

    from onmt.checkpoint import save_checkpoint
    from onmt.models.loading import find_model, read_content

    options = parsed.options
    check_output(options.output_model, options.force)
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


def check_alike(content: Mapping[str, Any], path: str, first: Mapping[str, Any], first_path: str) -> None:
    """Refuse a model that is not of the first one's structure and words. Raises CheckpointError."""
    if content["vocabularies"] != first["vocabularies"]:
        raise CheckpointError(f"'{path}' has other vocabularies than '{first_path}': they cannot be averaged")
    shapes = [{name: weight.shape for name, weight in one["weights"].items()} for one in (content, first)]
    if shapes[0] != shapes[1]:
        raise CheckpointError(f"'{path}' has another structure than '{first_path}': they cannot be averaged")
