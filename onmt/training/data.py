"""The training data: prepared shards or text files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onmt.data.dataset import Dataset
from onmt.data.loading import RawData, open_prepared
from onmt.data.vocabulary import Vocabularies
from onmt.data.vocabulary_building import read_vocabulary
from onmt.errors import OptionError
from onmt.hooks import load_hook_module
from onmt.logger import Logger
from onmt.models.lua import DataSizes
from onmt.training.options import AnyTrainOptions

_LEARNT_FROM: Final = {
    "seq2seq": ("bitext", "feattext", "img"),
    "lm": ("monotext",),
    "seqtagger": ("bitext", "feattext"),
}


@dataclass(frozen=True)
class TrainingData:
    """Vocabularies and data sets. features_shifted: how word features of the target are stored.

    train: the data set of an epoch (from 1); resampled: whether it differs between epochs.
    """

    data_type: str
    vocabularies: Vocabularies
    features_shifted: bool
    train: Callable[[int], Dataset]
    resampled: bool
    valid: Dataset | None


def open_data(options: AnyTrainOptions, known: Vocabularies | None, logger: Logger) -> TrainingData:
    """The data that the options name. `known`: the vocabularies of a model that is trained further.

    Raises DataError, or OptionError for data that this kind of model does not learn from.
    """
    return _open_prepared(options, logger) if options.data else _open_raw(options, known, logger)


def data_sizes(data: TrainingData) -> DataSizes:
    """Sizes of the data that a model depends on."""
    return DataSizes(
        src=tuple(len(vocabulary) for vocabulary in data.vocabularies.src),
        tgt=tuple(len(vocabulary) for vocabulary in data.vocabularies.tgt),
        src_vector_size=data.vocabularies.src_vector_size,
        src_image_size=data.vocabularies.src_image_size,
        features_shifted=data.features_shifted,
    )


def _open_prepared(options: AnyTrainOptions, logger: Logger) -> TrainingData:
    logger.info(f"Loading data from '{options.data}'...")
    data = open_prepared(options.data)
    wanted = _LEARNT_FROM[options.model_type]
    if data.data_type not in wanted:
        raise OptionError(
            f"-model_type {options.model_type} learns from {' or '.join(wanted)} data, "
            f"but '{options.data}' is {data.data_type} data"
        )
    return TrainingData(
        data_type=data.data_type,
        vocabularies=data.vocabularies,
        features_shifted=bool(data.options.get("time_shift_feature", True)),
        train=lambda _: data.train,
        resampled=False,
        valid=data.valid,
    )


def _open_raw(options: AnyTrainOptions, known: Vocabularies | None, logger: Logger) -> TrainingData:
    if known is not None:
        if not known.src:
            kind = "images" if known.src_image_size else "vectors"
            raise OptionError(
                f"the model of -train_from reads {kind}, not texts: prepare them with preprocess.py and give "
                "-data"
            )
        _compare_vocabulary_files(options, known, logger)
    folder = Path(options.save_model).parent  # where models find room, encoded sentences will
    raw = RawData(options, load_hook_module(options.hook_file, logger), options.seed, folder, logger, known)
    return TrainingData(
        data_type="monotext" if options.model_type == "lm" else "bitext",
        vocabularies=raw.vocabularies,
        features_shifted=options.time_shift_feature,
        train=raw.train,
        resampled=raw.sampled,
        valid=raw.valid,
    )


def _compare_vocabulary_files(options: AnyTrainOptions, known: Vocabularies, logger: Logger) -> None:
    """Warn where the user names a vocabulary that the model does not have."""
    logger.info("The text is encoded with the vocabularies of the model")
    for side in options.sides():
        words = known.src if side.name == "source" else known.tgt
        if side.vocab and words and read_vocabulary(side.vocab).words != words[0].words:
            logger.warning(
                f"'{side.vocab}' is not the {side.name} vocabulary of the model, which is used; "
                "-update_vocab would change it"
            )
