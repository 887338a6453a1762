"""Write a folder of fixtures for test_stored_formats.py: a file of every format that the toolkit stores.

Run it from the repository's root with the name of a new folder. An existing one is never changed, so that the
tests keep reading files of older versions:

    PYTHONPATH=. .venv/bin/python test/system/write_stored_formats.py test/fixtures/<name>
"""

import gzip
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from stored_formats import (
    OUTPUT,
    READINGS,
    describe_file,
    differences,
    read,
    run_command,
    unpacked,
)

WORDS = "ab cd ef gh Ij kl".split()
TARGET = {word: word.upper()[::-1] for word in WORDS}
BPE = ("suffix", "prefix", "both", "none")
SMALL = "-rnn_size 4 -word_vec_size 3 -dropout 0.2 -param_init 1"
BATCHES = "-max_batch_size 4 -save_every 0 -disable_logs"
EPOCH = f"{BATCHES} -end_epoch 1"
STEPS = "-train_steps 4 -eval_every_n_steps 2"
CELL = "rnn_cell: {cell_class: GRUCell, cell_params: {num_units: 4}, dropout_input_keep_prob: 0.8}"
GOOGLE = "embedding.dim: 4, optimizer.learning_rate: 0.01, inference.beam_search.beam_width: 2"
DECODER = f"{GOOGLE}, decoder.params: {{{CELL}}}"
ATTENTION = "attention.params: {num_units: 3}"
ENCODER = f"encoder.params: {{{CELL}}}"
IMAGES = "encoder.params: {resize_height: 20, resize_width: 20, final_endpoint: Conv2d_1a_3x3}"
TRAININGS = {
    "brnn": f"-data data/features {SMALL} -layers 1 -encoder_type brnn -brnn_merge concat"
    f" -bridge dense {EPOCH}",
    "pdbrnn": f"-data data/vectors {SMALL} -layers 2 -encoder_type pdbrnn {EPOCH}",
    "cnn": f"-data data/plain {SMALL} -layers 1 -encoder_type cnn -cnn_size 4"
    f" -bridge dense_nonlinear {EPOCH}",
    "gnmt": f"-data data/keyed {SMALL} -layers 2 -encoder_type gnmt -global_attention concat -rnn_type GRU"
    f" -pre_word_vecs_enc vectors/src-embeddings-3.pt {EPOCH}",
    "dbrnn": f"-data data/sampled {SMALL} -layers 2 -encoder_type dbrnn -residual"
    f" -optim adagrad -learning_rate 0.1 {EPOCH}",
    "lm": f"-data data/mono -model_type lm {SMALL} -layers 1 {EPOCH}",
    "tagger": f"-data data/tags -model_type seqtagger {SMALL} -layers 1 {EPOCH}",
    "crf": f"-data data/tags -model_type seqtagger -loglikelihood sentence {SMALL} -layers 1 {EPOCH}",
    "basic": "-data data/plain -model BasicSeq2Seq"
    f" -model_params '{{{DECODER}, {ENCODER}}}' {BATCHES} {STEPS}",
    "attention": "-data data/plain -model AttentionSeq2Seq"
    f" -model_params '{{{DECODER}, {ENCODER}, {ATTENTION}}}' {BATCHES} {STEPS}",
    "image": "-data data/images -model Image2Seq"
    f" -model_params '{{{DECODER}, {IMAGES}, {ATTENTION}, optimizer.name: SGD}}' {BATCHES} {STEPS}",
    "middle": f"-data data/plain {SMALL} -layers 1 -optim adam -learning_rate 0.01 -end_epoch 1"
    " -max_batch_size 4 -save_every 2 -disable_logs -save_config configs/train",
    "sampling": f"-data data/plain {SMALL} -layers 1 -sample 12 -sample_type perplexity -sample_vocab"
    f" {BATCHES} -end_epoch 2",
    "bf16": f"-data data/plain {SMALL} -layers 1 -precision bf16 {EPOCH}",
    "bleu": f"-data data/plain {SMALL} -layers 1 -validation_metric bleu -beam_size 2 -max_sent_length 5"
    f" {BATCHES} -end_epoch 2",
}
SEARCH = "-n_best 2 -max_sent_length 6 -output out/pred -log_file out/log"
ARRAYS = "-save_attention out/attention.npz -save_beam_to out/beam.npz"
UNKNOWN = "-model models/bleu.pt -src text/unknown.src -output out/pred -log_file out/log"
LM = "-src text/valid.tgt -model models/lm.pt -output out/scores -log_file out/log"


def sentences(count: int, seed: int) -> list[list[str]]:
    """Sentences of 1 to 5 words."""
    draw = random.Random(seed)
    return [draw.choices(WORDS, k=draw.randint(1, 5)) for _ in range(count)]


def write_texts(folder: Path) -> None:
    """Write corpora, and the word lists, rules and vectors that a user supplies."""
    (folder / "many").mkdir(parents=True)
    for split, count, seed in (("train", 18, 1), ("valid", 5, 2), ("test", 3, 3)):
        source = sentences(count, seed)
        target = [[TARGET[word] for word in line] for line in source]
        features = [[f"{word}￨{len(line)}" for word in line] for line in source]
        translated = [[f"{TARGET[word]}￨{word[0]}" for word in line] for line in source]
        tags = [["V" if word in "ab cd" else "N" for word in line] for line in source]
        columns = {"src": source, "tgt": target, "f.src": features, "f.tgt": translated, "tags": tags}
        for ending, lines in columns.items():
            keyed = [[f"k{number}", *line] for number, line in enumerate(lines)]
            _write(folder / f"{split}.{ending}", lines)
            if ending in ("src", "tgt"):
                _write(folder / f"{split}.k.{ending}", keyed[::-1] if ending == "tgt" else keyed)
    for name, seed in (("news", 4), ("talks", 5)):
        source = sentences(8, seed)
        _write(folder / "many" / f"{name}.src", source)
        _write(folder / "many" / f"{name}.tgt", [[TARGET[word] for word in line] for line in source])
    _write(folder / "rules", [["news", "3"], ["*", "1"]])
    _write(folder / "phrases", [["ab", "|||", "BA"], ["zz", "|||", "zz!"]])
    _write(folder / "unknown.src", [["ab", "zz"], [], ["zz"]])
    _write(folder / "subdict", [["BA"], ["DC"], ["FE"]])
    learnt = "abq Abq, abq xab xab gfe gfe abq xab! gfe fex yab zab"
    _write(folder / "plain.txt", [learnt.split()])
    # Each BPE mode splits these words differently.
    _write(folder / "cut.txt", ["abqx xabq. xabx yxab".split(), [], "Abq, xgfe gfex xfex fexy".split()])
    draw = random.Random(6)
    _write(folder / "glove.txt", [[word, *(f"{draw.uniform(-1, 1):.3f}" for _ in "xyz")] for word in WORDS])


def _write(path: Path, lines: list[list[str]]) -> None:
    path.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")


def pairs(kind: str = "") -> str:
    """The flags that name both sides of a corpus."""
    files = [(split, side) for split in ("train", "valid") for side in ("src", "tgt")]
    return " ".join(f"-{split}_{side} text/{split}.{kind}{side}" for split, side in files)


def data_commands() -> list[str]:
    """Command lines that write prepared data, vocabularies, vectors and BPE models."""
    prepared = {
        "plain": f"{pairs()} -keep_frequency -shard_size 10 -save_config configs/preprocess",
        "features": pairs("f."),
        "keyed": f"{pairs('k.')} -idx_files",
        "sampled": "-train_dir text/many -gsample 12 -gsample_dist text/rules",
        "mono": "-data_type monotext -train text/train.tgt -valid text/valid.tgt",
        "tags": f"{pairs().replace('.tgt', '.tags')} -check_plength",
        "vectors": f"-data_type feattext -idx_files {pairs('v.')}",
        "images": "-data_type img -train images/train.tsv -valid images/valid.tsv"
        " -image_height 20 -image_width 20",
    }
    vectors = "-dict data/words.dict -embed_data vectors/src-embeddings-3.pt"
    return [
        "build_vocab -data text/train.src -save_vocab data/words -disable_logs",
        "build_vocab -data text/train.f.src -save_vocab data/built -disable_logs",
        "embeddings -dict_file data/words.dict -save_data vectors/src -disable_logs"
        " -embed_type glove -embed_file text/glove.txt",
        *(
            f"apply_embeddings {vectors} -save_prefix text/{split}.v -disable_logs"
            f" -txt_src text/{split}.src -txt_tgt text/{split}.tgt"
            for split in ("train", "valid", "test")
        ),
        "generate_shapes -output images -train 6 -valid 2 -test 2 -size 40 -disable_logs",
        *(f"preprocess -save_data data/{name} {flags} -disable_logs" for name, flags in prepared.items()),
        *(f"learn_bpe -size 12 -bpe_mode {mode} -save_bpe bpe/{mode} -disable_logs" for mode in BPE),
    ]


def write_unsigned_manifest(data: Path) -> None:
    """Write a manifest in the old form, in which it had no checksum of its own."""
    content = json.loads((data / "plain-train.json").read_text(encoding="utf-8"))
    del content["checksum"]
    (data / "unsigned-train.json").write_text(json.dumps(content), encoding="utf-8")


def write_models(folder: Path) -> None:
    """Train the models; rename each last epoch's file without its score. `middle` keeps its checkpoint."""
    for name, flags in TRAININGS.items():
        _run(folder, f"train {flags} -save_model models/{name} -save_every_epochs 0")
        [whole] = (folder / "models").glob(f"{name}_epoch*.pt")
        whole.rename(folder / ("uninterrupted.pt" if name == "middle" else f"models/{name}.pt"))
    _run(folder, "release_model -model models/cnn.pt -output_model models/released.pt -disable_logs")
    averaged = "-models models/bleu.pt models/bf16.pt -output_model models/averaged.pt"
    _run(folder, f"average_models {averaged} -disable_logs")


def readings_to_store() -> dict[str, str]:
    """Command lines by name that read the written files; what they write is stored as the expected result."""
    return _translations() | _other_readings() | _continued_trainings()


def _translations() -> dict[str, str]:
    sources = {"brnn": "test.f", "pdbrnn": "test.v", "gnmt": "test.k"}
    models = "brnn pdbrnn cnn gnmt dbrnn basic attention bf16 bleu released averaged middle_checkpoint"
    return {
        **{
            f"translate_{name}": f"translate -model models/{name}.pt {SEARCH} {ARRAYS}"
            f" -src text/{source}.src -tgt text/{source}.tgt"
            + (" -idx_files" if name in ("gnmt", "pdbrnn") else "")
            for name in models.split()
            for source in (sources.get(name, "test"),)
        },
        "translate_image": f"translate -model models/image.pt -src images/test.tsv {SEARCH} {ARRAYS}",
        "translate_phrases": f"translate {UNKNOWN} -phrase_table text/phrases -lexical_constraints",
        "translate_unknown": f"translate {UNKNOWN} -phrase_table text/phrases -replace_unk",
        "translate_subset": f"translate {UNKNOWN} -target_subdict text/subdict",
        "translate_lm": f"translate {UNKNOWN} -lm_model models/lm.pt -lm_weight 0.5",
        "translate_config": "translate -config configs/translate",
        "translate_search": f"translate {UNKNOWN} -save_attention out/attention -save_beam_to out/beam.json",
        "translate_encodings": f"translate {UNKNOWN} -dump_input_encoding",
    }


def _other_readings() -> dict[str, str]:
    tagged = "-src text/test.src -output out/tags -log_file out/log"
    vocabularies = "-src_vocab data/plain.src.dict -tgt_vocab data/plain.tgt.dict"
    page = "-output out/page.html -disable_logs"
    cut = "tokenize -mode conservative -joiner_annotate -bpe_model"
    return {
        "lm_score": f"lm score {LM}",
        "lm_sample": f"lm sample {LM} -max_length 8",
        **{f"tag_{name}": f"tag -model models/{name}.pt {tagged}" for name in ("tagger", "crf")},
        **{f"tokenize_{mode}": f"{cut} bpe/{mode} < text/cut.txt" for mode in BPE},
        **{
            f"inspect_{name}": f"inspect_model -model models/{name}.pt"
            for name in TRAININGS
            if name != "middle"
        },
        "inspect_checkpoint": "inspect_model -model models/middle_checkpoint.pt",
        "inspect_released": "inspect_model -model models/released.pt",
        "visualize_text": f"visualize -attention arrays/attention -beam arrays/beam.json {page}",
        "visualize_npz": f"visualize -attention arrays/attention.npz -beam arrays/beam.npz {page}",
        "score_bleu": "score text/test.tgt < arrays/pred",
        "score_ter": "score text/test.tgt -scorer ter < arrays/pred",
        "extract_embeddings": "extract_embeddings -model models/brnn.pt -output_dir out",
        "apply_embeddings": "apply_embeddings -dict data/words.dict -embed_data vectors/src-embeddings-3.pt"
        " -save_prefix out/vectors -txt_src text/test.src -txt_tgt text/test.tgt -log_file out/log",
        "prepare_config": "preprocess -config configs/preprocess -save_data out/d -disable_logs",
        "prepare_vocabularies": f"preprocess {pairs()} {vocabularies} -save_data out/d -log_file out/log",
        "prepare_built": f"preprocess {pairs('f.')} -src_vocab data/built.dict"
        " -save_data out/d -log_file out/log",
        "prepare_features": f"preprocess {pairs('f.')} -features_vocabs_prefix data/features"
        " -save_data out/d -log_file out/log",
    }


def _continued_trainings() -> dict[str, str]:
    starts = {
        "middle": "-data data/plain -train_from models/middle_checkpoint.pt -continue -end_epoch 1",
        "brnn": "-data data/features -train_from models/brnn.pt -continue -end_epoch 2",
        "pdbrnn": "-data data/vectors -train_from models/pdbrnn.pt -continue -end_epoch 2",
        "gnmt": "-data data/keyed -train_from models/gnmt.pt -continue -end_epoch 2",
        "dbrnn": "-data data/sampled -train_from models/dbrnn.pt -continue -end_epoch 2",
        "lm": "-data data/mono -model_type lm -train_from models/lm.pt -continue -end_epoch 2",
        "crf": "-data data/tags -model_type seqtagger -train_from models/crf.pt -continue -end_epoch 2",
        "attention": "-data data/plain -train_from models/attention.pt -continue -train_steps 6",
        "image": "-data data/images -train_from models/image.pt -continue -train_steps 6",
        "sampling": "-data data/plain -train_from models/sampling.pt -continue -end_epoch 3",
        "bleu": "-data data/plain -train_from models/bleu.pt -continue -end_epoch 3",
        "merged": "-data data/sampled -train_from models/cnn.pt -update_vocab merge -end_epoch 1",
    }
    return {
        **{f"train_{name}": f"train {flags} {BATCHES} -save_model out/m" for name, flags in starts.items()},
        "train_vectors": f"train -data data/plain {SMALL} -layers 1 {EPOCH} -save_model out/m"
        " -pre_word_vecs_enc vectors/src-embeddings-3.pt -fix_word_vecs_enc pretrained",
        "train_unsigned": f"train -data data/unsigned {SMALL} -layers 1 {EPOCH} -save_model out/m",
        "train_config": "train -config configs/train -save_model out/m",
    }


def write_arrays(folder: Path) -> None:
    """Write attention, beams and translations of translate.py for other commands, and its configuration."""
    given = "-model models/bleu.pt -src text/test.src -max_sent_length 4 -disable_logs"
    for attention, beam in (("attention", "beam.json"), ("attention.npz", "beam.npz")):
        files = f"-save_attention arrays/{attention} -save_beam_to arrays/{beam} -output arrays/pred"
        _run(folder, f"translate {given} {files}")
    _run(folder, f"translate {given} -output out/pred -save_config configs/translate")


def write_readings(folder: Path) -> None:
    """Run each command line on a copy of the folder and store its result."""
    stored: dict[str, Any] = {}
    for name, command in readings_to_store().items():
        with tempfile.TemporaryDirectory() as scratch:
            result = read(unpacked(folder, Path(scratch)), command)
        assert result["exit"] == 0, f"{name} failed"
        stored[name] = {"command": command, "result": result}
    _write_compressed(folder / READINGS, json.dumps(stored, ensure_ascii=False, indent=1).encode("utf-8"))
    uninterrupted = describe_file(folder / "uninterrupted.pt")
    [continued] = stored["train_middle"]["result"]["files"].values()
    assert list(differences(uninterrupted, continued)) == []


def _write_compressed(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, mtime=0))


def _run(folder: Path, command: str) -> None:
    code, _ = run_command(folder, command)
    assert code == 0, command


def main(target: Path) -> None:
    """Write everything to a new folder."""
    target.mkdir(parents=True)
    write_texts(target / "text")
    for name in ("data", "vectors", "models", "bpe", "configs", "arrays", OUTPUT):
        (target / name).mkdir()
    for command in data_commands():
        _run(target, f"{command} < text/plain.txt")
    write_unsigned_manifest(target / "data")
    write_models(target)
    write_arrays(target)
    for unneeded in (OUTPUT, "images/train", "images/valid"):
        shutil.rmtree(target / unneeded)
    for model in list((target / "models").iterdir()):
        _write_compressed(Path(f"{model}.gz"), model.read_bytes())
        model.unlink()
    write_readings(target)
    (target / "uninterrupted.pt").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
