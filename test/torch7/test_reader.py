import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onmt.errors import CheckpointError
from onmt.torch7.objects import BooleanKey, LuaFunction, Storage, Table, Tensor, TorchObject, Value
from onmt.torch7.reader import Limits, parse_t7, read_t7

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
ENCODINGS = [("binary", 8), ("binary", 4), ("ascii", 8)]
ALL_ENCODINGS = pytest.mark.parametrize(("encoding", "long_size"), ENCODINGS)


def floats(*shape: int) -> Tensor:
    array = np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32) / 8
    strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    return Tensor("torch.FloatTensor", shape, strides, 0, Storage("torch.FloatStorage", array))


def sample() -> Table:
    """A table with a value of each kind, a shared object and a cycle."""
    weight = floats(3, 4)
    column = Tensor("torch.FloatTensor", (3,), (4,), 1, weight.storage)
    linear = TorchObject("nn.Linear", 2, Table({"weight": weight, "column": column, "train": False}))
    root = Table({1.0: "first", 2.0: 2.5, "linear": linear, "same": linear, "function": LuaFunction()})
    root.entries["self"] = root
    root.entries["after"] = Table({-1.5: "a key", BooleanKey(True): "another", linear: "a third"})
    return root


@ALL_ENCODINGS
def test_reads_every_kind_of_value(write_t7, encoding, long_size):
    root = parse_t7(write_t7(sample(), encoding, long_size), "x.t7")
    assert isinstance(root, Table)
    assert root.sequence() == ["first", 2.5]
    linear, after = root.get("linear"), root.get("after")
    assert isinstance(linear, TorchObject)
    assert isinstance(after, Table)
    assert (linear.class_name, linear.version) == ("nn.Linear", 2)
    assert linear.get("train") is False
    assert isinstance(root.get("function"), LuaFunction)
    assert after.get(-1.5) == "a key"
    assert after.get(BooleanKey(True)) == "another"
    assert after.get(linear) == "a third"


@ALL_ENCODINGS
def test_what_was_shared_stays_shared(write_t7, encoding, long_size):
    root = parse_t7(write_t7(sample(), encoding, long_size), "x.t7")
    linear = root.get("linear")
    assert root.get("self") is root
    assert root.get("same") is linear
    assert linear.get("weight").storage is linear.get("column").storage
    np.testing.assert_array_equal(linear.get("column").numpy(), linear.get("weight").numpy()[:, 1])
    np.testing.assert_array_equal(linear.get("weight").numpy(), np.arange(1, 13).reshape(3, 4) / 8)


KINDS = ["Double", "Half", "Long", "Int", "Short", "Char", "Byte"]
CLASSES = ["torch.Float", "torch.Cuda", *(f"torch.{cuda}{kind}" for cuda in ("", "Cuda") for kind in KINDS)]


@ALL_ENCODINGS
@pytest.mark.parametrize("name", CLASSES)
def test_every_type_of_tensor(write_t7, encoding, long_size, name):
    values = np.array([1, 2, 127] if name.endswith(("Char", "Byte")) else [1, 0, 1000])
    tensor = Tensor(f"{name}Tensor", (3,), (1,), 0, Storage(f"{name}Storage", values))
    read = parse_t7(write_t7(tensor, encoding, long_size), "x.t7")
    assert isinstance(read, Tensor)
    np.testing.assert_array_equal(read.numpy(), values)


@ALL_ENCODINGS
def test_special_numbers_and_bytes(write_t7, encoding, long_size):
    array = np.array([np.inf, -np.inf, np.nan, -0.0], dtype=np.float64)
    table = Table(
        {"numbers": Tensor("torch.DoubleTensor", (4,), (1,), 0, Storage("torch.DoubleStorage", array))}
    )
    table.entries.update({"inf": np.inf, "bytes": "caf\udce9 ￭", "empty": ""})
    read = parse_t7(write_t7(table, encoding, long_size), "x.t7")
    np.testing.assert_array_equal(read.get("numbers").numpy(), array)
    assert (read.get("inf"), read.get("bytes"), read.get("empty")) == (np.inf, "caf\udce9 ￭", "")


def test_files_from_before_classes_had_versions():
    name = b"nn.Tanh"
    data = struct.pack("<iii", 4, 1, len(name)) + name + struct.pack("<iii", 3, 2, 0)
    value = parse_t7(data, "x.t7")
    assert isinstance(value, TorchObject)
    assert (value.class_name, value.version) == ("nn.Tanh", 0)


def test_old_functions_are_read_past():
    code = struct.pack("<i", 4) + b"code" + struct.pack("<i", 0)
    pair = [struct.pack("<i", 6) + code, struct.pack("<ii", 7, 5) + code]
    entries = [struct.pack("<id", 1, index + 1) + function for index, function in enumerate(pair)]
    table = parse_t7(
        struct.pack("<iii", 3, 1, 3) + b"".join(entries) + struct.pack("<idid", 1, 3, 1, 9), "x.t7"
    )
    assert [type(value) for value in table.sequence()] == [LuaFunction, LuaFunction, float]


@pytest.mark.parametrize("long_size", [8, 4])
def test_collections_of_tds(long_size):
    def count(n: int) -> bytes:
        return struct.pack("<q" if long_size == 8 else "<i", n)

    def header(index: int, name: bytes) -> bytes:
        return struct.pack("<iii", 4, index, 3) + b"V 0" + struct.pack("<i", len(name)) + name

    number = struct.pack("<id", 1, 7)
    data = header(1, b"tds.Hash") + count(1) + struct.pack("<ii", 2, 1) + b"k"
    data += header(2, b"tds.Vec") + count(3) + number + struct.pack("<i", 0) + number
    vector = parse_t7(data, "x.t7").get("k")
    assert isinstance(vector, Table)
    assert dict(vector.items()) == {1: 7, 3: 7}


def test_a_tensor_without_memory_is_empty(write_t7):
    tensor = parse_t7(write_t7(Tensor("torch.FloatTensor", (), (), 0, None)), "x.t7")
    assert tensor.elements == 0
    assert tensor.numpy().shape == (0,)


def test_an_expanded_tensor_is_known_as_such(write_t7):
    storage = Storage("torch.FloatStorage", np.ones(2, np.float32))
    tensor = parse_t7(write_t7(Tensor("torch.FloatTensor", (2**40, 2), (0, 1), 0, storage)), "x.t7")
    assert tensor.overlaps
    assert not parse_t7(write_t7(floats(2, 2)), "x.t7").overlaps


def test_a_chain_as_deep_as_a_large_model_is_no_problem(write_t7):
    table = Table()
    for _ in range(150):
        table = Table({"next": table})
    data = write_t7(table)
    assert isinstance(parse_t7(data, "x.t7"), Table)
    with pytest.raises(CheckpointError, match=r"'x.t7' is not a valid Torch7 file: .* 100 deep at byte"):
        parse_t7(data, "x.t7", Limits(depth=100))


def _tensor(**changes: object) -> Tensor:
    fields = {"shape": (2, 2), "stride": (2, 1), "offset": 0, "storage": floats(4).storage} | changes
    return Tensor("torch.FloatTensor", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_tensor(offset=1), "reaches outside"),
        (_tensor(offset=-1), "reaches outside"),
        (_tensor(stride=(3, 1)), "reaches outside"),
        (_tensor(stride=(-1, 1)), "negative"),
        (_tensor(shape=(-2, 2)), "negative"),
        (_tensor(storage=None), "reaches outside"),
        (_tensor(storage=Table()), "not a storage"),
        (_tensor(storage=Storage("torch.IntStorage", np.zeros(4))), "FloatTensor over a torch.IntStorage"),
        (_tensor(shape=(1,) * 40, stride=(1,) * 40), "40 dimensions"),
        (TorchObject("nn.Linear", 1, "no table"), "a nn.Linear without a table of fields"),
        (TorchObject("nn.\nLinear", 1), "impossible name"),
        (Table({None: 1.0}), "key that is nil"),
        (Table({float("nan"): 1.0}), "key that is nil"),
    ],
)
@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_refuses_what_cannot_be(write_t7, value, message, encoding):
    with pytest.raises(
        CheckpointError, match=rf"'x.t7' is not a valid Torch7 file: .*{message}.* at byte"
    ) as caught:
        parse_t7(write_t7(value, encoding), "x.t7")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"3",
        struct.pack("<i", 9),
        struct.pack("<iii", 3, 1, -1),
        struct.pack("<iii", 3, 1, 2**31 - 1),
        struct.pack("<ii", 2, -5) + b"abc",
        struct.pack("<ii", 2, 2**31 - 1) + b"abc",
        b"3\n1\nx\n",
        b"1\nhello\n",
        b"1\n12",
        b"2\n9999999999999999999999\n",
    ],
)
def test_refuses_damaged_sizes(data):
    with pytest.raises(CheckpointError, match="at byte"):
        parse_t7(data, "x.t7")


def test_a_storage_larger_than_the_file_is_not_allocated(write_t7):
    data = write_t7(floats(6)).replace(struct.pack("<qf", 6, 0.125), struct.pack("<qf", 2**60, 0.125))
    with pytest.raises(CheckpointError, match="ends inside the numbers of a tensor"):
        parse_t7(data, "x.t7")


def test_limits_the_number_of_values(write_t7):
    data = write_t7(Table({float(n): "x" for n in range(1, 100)}))
    with pytest.raises(CheckpointError, match="more than 50 values"):
        parse_t7(data, "x.t7", Limits(values=50))


def test_reads_from_disk_and_names_what_it_cannot_read(write_t7, tmp_path):
    path = tmp_path / "model.t7"
    path.write_bytes(write_t7(sample()))
    assert isinstance(read_t7(path), Table)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model.t7' is not a valid Torch7 file: it is empty"):
        read_t7(path)
    for missing in (tmp_path / "no.t7", tmp_path):
        with pytest.raises(CheckpointError, match="cannot read"):
            read_t7(missing)


def touch(value: Value, seen: set[int]) -> None:
    """Visit all values that a value contains."""
    pending = [value]
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, TorchObject):
            pending.append(value.fields)
        elif isinstance(value, Table):
            pending.extend(part for pair in value.items() for part in pair)
        elif isinstance(value, Tensor) and not value.overlaps:
            value.numpy().sum()


def read_or_refuse(content: bytes) -> None:
    """Check that a file is either read completely or refused in one line."""
    message = ""
    try:
        touch(parse_t7(content, "x.t7"), set())
    except CheckpointError as error:
        message = str(error)
    assert "\n" not in message


QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(data=st.data(), encoding=st.sampled_from(ENCODINGS))
def test_a_damaged_file_is_refused_or_read_but_never_crashes(write_t7, data, encoding):
    content = bytearray(write_t7(sample(), *encoding))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with np.errstate(all="ignore"):
        read_or_refuse(bytes(content[: cut or None]))


@QUICK
@given(cut=st.floats(0, 1, exclude_max=True), encoding=st.sampled_from(ENCODINGS))
def test_a_truncated_file_is_refused(write_t7, cut, encoding):
    content = write_t7(sample(), *encoding)
    with pytest.raises(CheckpointError, match=r"'x.t7' is not a valid Torch7 file: .* at byte"):
        parse_t7(content[: int(cut * (len(content) - 1))], "x.t7")


@QUICK
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(content):
    with np.errstate(all="ignore"):
        read_or_refuse(content)


@pytest.mark.skipif(not GOLDEN.exists(), reason="the files of the original are not here")
def test_reads_the_original_programs_files():
    paths = sorted(GOLDEN.glob("*/*/*.t7.gz"))
    assert len(paths) > 100
    for path in paths[:: len(paths) // 20]:
        root = parse_t7(gzip.decompress(path.read_bytes()), path.name)
        assert isinstance(root, Table)
        assert "dicts" in root
