"""`tools/release_model.py`: a model without its training state, to hand out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onmt.commandline.declare import existing_model, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.errors import OptionError
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.options import DeviceOptions


@dataclass(frozen=True, kw_only=True)
class ReleaseOptions:
    """Release"""

    model: str = option(
        "", "Model to release (`.pt`, or `.t7` of OpenNMT Lua).", valid=existing_model, required=True
    )
    output_model: str = option(
        "", "File to write; by default that of `-model` with `_release.pt` at its end.", writes=("{}",)
    )
    force: bool = option(False, "Replace the file if it is there already.")


@dataclass(frozen=True, kw_only=True)
class ReleaseModelOptions(ReleaseOptions, DeviceOptions, LoggerOptions):
    """Release model"""


SCRIPT = Script(
    name="tools/release_model.py",
    summary="Writes a model without the training state, which is only needed to go on training.",
    choose=lambda _: ReleaseModelOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[ReleaseModelOptions], logger: Logger) -> None:
    """Write the released model."""
    from onmt.checkpoint import save_checkpoint
    from onmt.models.loading import find_model, read_content

    options = parsed.options
    path = find_model(options.model)
    stem = path.removesuffix(".pt").removesuffix(".t7")  # the name may have other dots, those of a score
    output = options.output_model or f"{stem}_release.pt"
    check_output(output, options.force)
    logger.info(f"Loading model '{path}'...")
    content = read_content(path)
    logger.info("... done.")
    logger.info(f"Releasing model '{output}'...")
    save_checkpoint(output, {key: value for key, value in content.items() if key != "training"})
    logger.info("... done.")


def check_output(path: str, force: bool) -> None:
    """Refuse to write over a file that is there. Raises OptionError."""
    if Path(path).exists() and not force:
        raise OptionError(
            f"'{path}' is there already: choose another -output_model, or replace it with -force"
        )
