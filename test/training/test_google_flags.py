from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from onmt.commandline.parser import parse
from onmt.commands.pipeline import train
from onmt.errors import OptionError
from onmt.google.settings import SETTING_FLAGS, TRANSLATED_FLAGS, from_text
from onmt.training.options import flags_of_lua_models, implied_flags


def implied(config: str = "", folder: Path | None = None, **given: Any) -> dict[str, Any]:
    """Return the flags that these imply, with a configuration file if one is given."""
    if folder is not None:
        (folder / "c.yml").write_text(config, encoding="utf-8")
        given["config_paths"] = (str(folder / "c.yml"),)
    return dict(implied_flags(given).values)


def test_without_a_model_nothing_is_implied() -> None:
    assert implied() == {}
    assert implied(rnn_size=4, learning_rate=0.1) == {}


def test_a_model_and_its_parameters_take_one_form() -> None:
    found = implied(
        model="seq2seq.models.BasicSeq2Seq", model_params="{b: null}".replace("b", "embedding.dim")
    )
    assert found["model"] == "BasicSeq2Seq"
    assert from_text(found["model_params"]) == {"embedding.dim": None}
    assert implied(model="BasicSeq2Seq")["model_params"] == ""


def test_the_search_of_validation_is_the_model_s() -> None:
    params = "inference.beam_search.beam_width: 3\ninference.beam_search.length_penalty_weight: 0.5\n"
    found = implied(model="BasicSeq2Seq", model_params=params + "decoder.params: {max_decode_length: 30}")
    assert (found["beam_size"], found["length_norm"], found["max_sent_length"]) == (3, 0.5, 30)
    assert implied(model="BasicSeq2Seq")["beam_size"] == 1
    assert "beam_size" not in implied(model="BasicSeq2Seq", beam_size=7)


def test_steps() -> None:
    assert implied(train_steps=50) == {"eval_every_n_steps": 1000}
    assert implied(train_steps=50, eval_every_n_steps=5) == {}
    assert implied(**{"train_steps": 50, "continue": True}) == {}
    with pytest.raises(OptionError, match="-train_steps and -end_epoch"):
        implied(train_steps=50, end_epoch=3)


def test_settings_of_a_file(tmp_path: Path) -> None:
    config = (
        "model: AttentionSeq2Seq\nmodel_params: {embedding.dim: 8, source.reverse: false}\nbatch_size: 4\n"
        "train_steps: 90\neval_every_n_steps: 30\nsave_checkpoints_steps: 11\ntf_random_seed: 5\n"
        "keep_checkpoint_max: 3\n"
        "metrics: [{class: LogPerplexityMetricSpec}]\nschedule: continuous_train_and_eval\n"
    )
    found = implied(config, tmp_path, model_params="embedding.dim: 9", max_batch_size=7, report_every=2)
    assert found["model"] == "AttentionSeq2Seq"
    assert from_text(found["model_params"]) == {"embedding.dim": 9, "source.reverse": False}
    assert found["keep_checkpoint_max"] == 3
    assert "max_batch_size" not in found
    wanted = {"train_steps": 90, "eval_every_n_steps": 30, "save_every": 11, "seed": 5}
    assert found | wanted == found
    assert found["validation_metric"] == "perplexity"


def test_the_command_line_names_the_model(tmp_path: Path) -> None:
    assert implied("model: AttentionSeq2Seq", tmp_path, model="BasicSeq2Seq")["model"] == "BasicSeq2Seq"


def test_the_command_line_says_when_to_stop(tmp_path: Path) -> None:
    assert "train_steps" not in implied("train_steps: 90", tmp_path, end_epoch=3)


TEXTS = """
input_pipeline_train:
  class: ParallelTextInputPipeline
  params: {source_files: [a.src], target_files: [a.tgt]}
input_pipeline_dev:
  class: seq2seq.data.input_pipeline.ParallelTextInputPipeline
  params: {source_files: [b.src], target_files: [b.tgt]}
"""


def test_pipelines_name_the_texts(tmp_path: Path) -> None:
    params = "vocab_source: v.src\nvocab_target: v.tgt"
    found = implied(TEXTS, tmp_path, model="BasicSeq2Seq", model_params=params)
    names = {"train_src": "a.src", "train_tgt": "a.tgt", "valid_src": "b.src", "valid_tgt": "b.tgt"}
    assert found | names == found
    assert (found["src_vocab"], found["tgt_vocab"]) == ("v.src", "v.tgt")
    assert min(found["src_seq_length"], found["tgt_seq_length"]) > 10**6  # long texts are cut, not left out
    prepared = implied(TEXTS, tmp_path, model="BasicSeq2Seq", model_params=params, data="demo")
    assert not prepared.keys() & {*names, "src_vocab", "src_seq_length"}


@pytest.mark.parametrize("flag", ["data", "train_src", "train_tgt", "train_dir"])
def test_data_of_the_command_line_goes_before_pipelines(tmp_path: Path, flag: str) -> None:
    (tmp_path / "c.yml").write_text(TEXTS, encoding="utf-8")
    found = implied_flags({"config_paths": (str(tmp_path / "c.yml"),), flag: "mine"})
    assert found.values == {}
    assert found.warnings[0].endswith("here: input_pipeline_train, input_pipeline_dev")


@pytest.mark.parametrize(
    "texts", [["-data", "DATA"], ["-train_src", "SRC", "-train_tgt", "SRC", "-src_seq_length", "50"]]
)
def test_what_save_config_writes_config_reads(tiny_data: str, tmp_path: Path, texts: list[str]) -> None:
    places = {"DATA": tiny_data, "SRC": str(tmp_path / "a.src")}
    (tmp_path / "a.src").write_text("a\n", encoding="utf-8")
    (tmp_path / "c.yml").write_text("batch_size: 4\nmodel_params: {embedding.dim: 8}\n", encoding="utf-8")
    saved = str(tmp_path / "saved")
    argv = [places.get(word, word) for word in texts]
    argv += ["-model", "AttentionSeq2Seq", "-model_params", "embedding.init_scale: 0.1", "-train_steps", "3"]
    argv += ["-config_paths", str(tmp_path / "c.yml"), "-save_model", str(tmp_path / "m"), "-beam_size", "5"]
    first = parse(train.script, [*argv, "-save_config", saved]).options
    assert first.max_batch_size == 4
    assert parse(train.script, ["-config", saved]).options == replace(first, config_paths=())


def test_a_plain_run_saves_only_its_own_dialect(tiny_data: str, tmp_path: Path) -> None:
    saved = [str(tmp_path / "first"), str(tmp_path / "second")]
    argv = ["-data", tiny_data, "-save_model", str(tmp_path / "m"), "-end_epoch", "3"]
    parse(train.script, [*argv, "-save_config", saved[0]])
    assert not [key for key in TRANSLATED_FLAGS if f"\n{key} = " in Path(saved[0]).read_text()]
    again = parse(train.script, ["-config", saved[0], "-save_config", saved[1]])
    assert again.warnings == ()
    assert Path(saved[1]).read_text() == Path(saved[0]).read_text()


def test_what_has_no_effect_is_named_in_one_warning(tmp_path: Path) -> None:
    config = TEXTS + (
        "buckets: 10,20\nhooks: [{class: TrainSampleHook}]\nsave_checkpoints_secs: 60\nschedule: train\n"
        "metrics: [{class: BleuMetricSpec},\n"
        " {class: RougeMetricSpec, params: {rouge_type: rouge_l/f_score, eos_token: x}}]\n"
    )
    path = tmp_path / "c.yml"
    path.write_text(config.replace("a.tgt]", "a.tgt], shuffle: false"), encoding="utf-8")
    (warning,) = implied_flags({"config_paths": (str(path),)}).warnings
    named = (
        "buckets (batches hold sources of one length anyway, unless -uneven_batches), save_checkpoints_secs "
        "(use save_checkpoints_steps), hooks: TrainSampleHook (use -save_validation_translation_every), "
        "schedule, input_pipeline_train: shuffle"
    )
    assert warning == f"these settings have no effect here: {named}, metrics: RougeMetricSpec: eos_token"
    (warning,) = implied_flags(
        {"model": "BasicSeq2Seq", "model_params": "optimizer.sync_replicas: 2"}
    ).warnings
    assert warning.endswith("here: optimizer.sync_replicas")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (
            "metrics: [{class: LogPerplexityMetricSpec, params: {separator: x}}]",
            "LogPerplexityMetricSpec: separator",
        ),
        (TEXTS + "  name: x", "input_pipeline_dev: name"),
        ("input_pipeline_dev: {class: TFRecordInputPipeline, params: {files: [x]}}", "input_pipeline_dev"),
    ],
)
def test_nothing_is_passed_over_silently(tmp_path: Path, config: str, named: str) -> None:
    path = tmp_path / "c.yml"
    path.write_text(config, encoding="utf-8")
    (warning,) = implied_flags({"config_paths": (str(path),)}).warnings
    assert warning.endswith(named)


@pytest.mark.parametrize(("setting", "flag"), SETTING_FLAGS.items())
@pytest.mark.parametrize("value", ["1e1", "10.0", "10"])
def test_whole_numbers_of_settings(tmp_path: Path, setting: str, flag: str, value: str) -> None:
    found = implied(f"{setting}: {value}", tmp_path)[flag]
    assert (found, type(found)) == (10, int)


@pytest.mark.parametrize("name", ["source_delimiter", "target_delimiter"])
@pytest.mark.parametrize("delimiter", ["''", "'|'", "'  '", "5"])
@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("given", [{}, {"train_src": "x"}])
def test_texts_that_are_not_cut_at_blanks_are_refused(
    tmp_path: Path, name: str, delimiter: str, split: str, given: dict[str, str]
) -> None:
    config = yaml.safe_load(TEXTS)
    config[f"input_pipeline_{split}"]["params"][name] = yaml.safe_load(delimiter)
    with pytest.raises(OptionError, match=f"input_pipeline_{split}: {name} .*: texts are cut at blanks here"):
        implied(yaml.safe_dump(config), tmp_path, **given)
    assert implied(yaml.safe_dump(config), tmp_path, data="demo") == {}  # has been cut before


def test_the_usual_delimiter_may_be_given(tmp_path: Path) -> None:
    config = TEXTS.replace("[a.src]", "[a.src], source_delimiter: ' ', target_delimiter: null")
    assert implied(config, tmp_path)["train_src"] == "a.src"


def test_names_of_files_are_taken_without_white_space(tmp_path: Path) -> None:
    config = TEXTS.replace("[a.src]", '[" a.src\\n", ""]')
    assert implied(config, tmp_path)["train_src"] == "a.src"


@pytest.mark.parametrize("width", ["-1", "0", "1", "-1.0"])
def test_a_beam_of_less_than_two_is_greedy_search(width: str) -> None:
    params = f"inference.beam_search.beam_width: {width}"
    assert implied(model="AttentionSeq2Seq", model_params=params)["beam_size"] == 1


@pytest.mark.parametrize("name", ["TFRecordInputPipeline", "ImageCaptioningInputPipeline"])
def test_records_need_prepared_data_beside_them(tmp_path: Path, name: str) -> None:
    config = f"input_pipeline_train: {{class: {name}, params: {{files: [x]}}}}"
    with pytest.raises(OptionError, match=f"input_pipeline_train: {name} is not supported: .*-data"):
        implied(config, tmp_path)
    (warning,) = implied_flags({"config_paths": (str(tmp_path / "c.yml"),), "data": "demo"}).warnings
    assert warning.endswith("input_pipeline_train")


def test_several_files_do_not_matter_beside_prepared_data(tmp_path: Path) -> None:
    config = TEXTS.replace("[a.src]", "[a.src, b.src]")
    assert implied(config, tmp_path, data="demo") == {}
    with pytest.raises(OptionError, match="must name the same number of files"):
        implied(config, tmp_path)


@pytest.mark.parametrize("flag", flags_of_lua_models())
def test_flags_that_describe_a_lua_model_are_refused(flag: str) -> None:
    with pytest.raises(OptionError, match=f"^-{flag}: the class of -model"):
        implied(**{"model": "BasicSeq2Seq", flag: 1})


def test_a_deprecated_flag_is_refused_by_its_name(tiny_data: str) -> None:
    argv = ["-data", tiny_data, "-save_model", "m", "-model", "BasicSeq2Seq", "-brnn"]
    with pytest.raises(OptionError, match="-brnn: the class of -model"):
        parse(train.script, argv)


def test_which_flags_describe_a_model() -> None:
    flags = set(flags_of_lua_models())
    assert {"rnn_size", "encoder_type", "dropout", "param_init", "bridge"} <= flags
    assert {"optim", "learning_rate", "max_grad_norm", "decay"} <= flags
    assert not flags & {
        "pre_word_vecs_enc",
        "fix_word_vecs_dec",
        "scheduled_sampling",
        "max_batch_size",
        "uneven_batches",
        "data",
        "save_every",
        "gpuid",
        "model_type",
        "seed",
    }


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("batch_size: '4'", "batch_size must be a whole number"),
        ("train_steps: 2.5", "train_steps must be a whole number"),
        ("model: [1]", "model must be a text"),
        ("model_params: 3", "model_params must hold names"),
        ("model_params: {embedding.dim: 3}", "name its class with -model"),
        ("model: BasicSeq2Seq\nmodel_params: {embedding: 3}", "no parameter 'embedding'"),
        ("metrics: 3", "metrics must be a list"),
        ("input_pipeline_train: {class: ParalellText}", "class 'ParalellText' is not known"),
        ("metrics: [3]", "each entry must name its `class`"),
        ("input_pipeline_train: 3", "each entry must name its `class`"),
        ("input_pipeline_train: {class: ParallelTextInputPipeline, params: 3}", "params must hold names"),
        ("input_pipeline_train: {class: ParallelTextInputPipeline, params: []}", "params must hold names"),
        (
            "input_pipeline_train: {class: ParallelTextInputPipeline}",
            "source_files must be a list of files",
        ),
        (
            "input_pipeline_train: {class: ParallelTextInputPipeline, params: {source_file: x}}",
            "unknown parameter 'source_file'; did you mean source_files",
        ),
    ],
)
def test_settings_are_checked(tmp_path: Path, config: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        implied(config, tmp_path)


def test_parts_are_checked_before_any_data_is_read() -> None:
    params = "encoder.params: {rnn_cell: {cell_class: GRU}}"
    with pytest.raises(OptionError, match="cell_class 'GRU' is not known; did you mean GRUCell"):
        implied(model="BasicSeq2Seq", model_params=params)


def test_only_translation_has_such_models() -> None:
    with pytest.raises(OptionError, match="it needs -model_type seq2seq"):
        implied(model="BasicSeq2Seq", model_type="lm")
