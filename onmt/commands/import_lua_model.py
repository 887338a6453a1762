"""`tools/import_lua_model.py`: turns a model of OpenNMT Lua into one of this program."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onmt.commandline.declare import existing_file, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.errors import OptionError
from onmt.logger import Logger, LoggerOptions


@dataclass(frozen=True, kw_only=True)
class LuaModelOptions:
    """Lua model"""

    model: str = option(
        "",
        "The model to convert, a `.t7` file as OpenNMT Lua saves or releases it.",
        required=True,
        valid=existing_file,
    )
    output: str = option(
        "", "Where to write the converted model; `-model` with the ending `.pt` if not given.", writes=("{}",)
    )
    force: bool = option(False, "Replace `-output` if it exists.")


@dataclass(frozen=True, kw_only=True)
class ImportLuaModelOptions(LuaModelOptions, LoggerOptions):
    """Import a Lua model"""

    @property
    def target(self) -> Path:
        """The file to write."""
        return Path(self.output) if self.output else Path(self.model).with_suffix(".pt")


SCRIPT = Script(
    name="tools/import_lua_model.py",
    summary="Converts a model of OpenNMT Lua: translation model, language model or tagger, released or not.",
    choose=lambda _: ImportLuaModelOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[ImportLuaModelOptions], logger: Logger) -> None:
    """Convert and save; an existing file is replaced only if the user says so."""
    target = parsed.options.target
    if target.exists() and not parsed.options.force:
        raise OptionError(f"'{target}' exists: choose another -output, or add -force to replace it")

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
