"""Conversion of the original program's training state."""

import numpy as np
import pytest
import torch
from lua_tables import dig, find, float_tensor, network

from onmt.torch7.objects import Storage, Table, Tensor, TorchObject


def adam_info(root: Table) -> Table:
    """Return a training state whose Adam means are twice the weights, and squares the weights squared."""
    states = []
    for part in ("decoder", "encoder"):
        tensor = find(dig(root, "models", part), "nn.LookupTable").get("weight")
        flat = tensor.storage.array
        states.append(Table({"t": 7.0, "m": float_tensor(2 * flat), "v": float_tensor(flat**2)}))
    optimizer = Table({float(index): state for index, state in enumerate(states, start=1)})
    info = {"epoch": 3.0, "iteration": 5.0, "learningRate": 0.01, "validPpl": 8.5, "optimStates": optimizer}
    return Table({**info, "trainTimeInMinute": 1.5})


@pytest.mark.parametrize("name", ["rnn_lstm", "brnn_lstm_concat", "pdbrnn2_lstm_sum", "srcfeat2_sum"])
def test_the_training_state_goes_with_the_weights(lua_model, convert, name):
    root = lua_model(name)
    root.entries["info"] = adam_info(root)
    dig(root, "options").entries.update({"optim": "adam", "learning_rate": 0.02, "decay": "default"})
    content = convert(root)
    training = content["training"]
    assert (training["epoch"], training["iteration"], training["minutes"]) == (3, 5, 1.5)
    assert training["rate"] == {"value": 0.01, "last_score": 8.5, "decaying": True}
    assert training["gold_probability"] == 0.5
    optimizer = training["optimizer"]
    assert (optimizer["name"], optimizer["steps"]) == ("adam", 7)
    for key, weight in content["weights"].items():
        torch.testing.assert_close(optimizer["gathered"]["mean"][key], 2 * weight)
        torch.testing.assert_close(optimizer["gathered"]["squares"][key], weight**2)


def test_frozen_tables_have_no_part_in_the_training_state(lua_model, convert):
    root = lua_model("rnn_lstm")
    root.entries["info"] = adam_info(root)
    dig(root, "options").entries["optim"] = "adam"
    words = find(network(root), "onmt.WordEmbedding")
    words.fields.entries["fix"] = True
    table = find(words, "nn.LookupTable")
    part = table.get("weight").storage.array
    table.fields.entries["weight"] = float_tensor(part[:240].reshape(30, 8).copy())
    for slot in ("m", "v"):
        state = dig(root, "info", "optimStates", 2.0).entries
        state[slot] = float_tensor(state[slot].storage.array[240:])
    shift_parameters(network(root), part)
    optimizer = convert(root)["training"]["optimizer"]
    assert "source.words" not in optimizer["gathered"]["mean"]
    weights = convert(root)["weights"]
    torch.testing.assert_close(
        optimizer["gathered"]["mean"]["encoder.stack.layers.1.bias_hh"],
        2 * weights["encoder.stack.layers.1.bias_hh"],
    )


def shift_parameters(module: TorchObject, storage: np.ndarray) -> None:
    """Give a module's linear layers parameters in a flat storage without the first 240 numbers."""
    shorter = Storage("torch.FloatStorage", storage[240:])
    pending = [module]
    while pending:
        module = pending.pop()
        pending.extend(child for child in (dig(module, "modules") or Table()).sequence())
        for name in ("weight", "bias"):
            tensor = module.get(name)
            if module.class_name == "nn.Linear" and tensor is not None:
                module.fields.entries[name] = Tensor(
                    tensor.class_name, tensor.shape, tensor.stride, tensor.offset - 240, shorter
                )


def test_an_optimizer_state_that_does_not_fit_is_left_out_and_noted(lua_model, convert):
    root = lua_model("rnn_lstm")
    root.entries["info"] = adam_info(root)
    dig(root, "options").entries["optim"] = "adam"
    dig(root, "info", "optimStates", 1.0).entries["m"] = float_tensor(np.zeros(3, np.float32))
    content = convert(root)
    assert content["training"]["optimizer"] is None
    assert content["notes"] == ["the state of the optimiser is left out: its 'm' does not have 3921 numbers"]
