"""A numpy reference of google/seq2seq's formulas, for one sentence, with weights in TensorFlow's layout.

It is written from the formulas and uses no code of the project. `tensors` are a model's parameters by name.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Tensors = dict[str, Array]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def dense(x: Array, tensors: Tensors, name: str) -> Array:
    """A fully connected layer with bias."""
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


FUNCTIONS = {
    "tensorflow.tanh": np.tanh,
    "tensorflow.sigmoid": sigmoid,
    "tensorflow.identity": np.array,
    "tensorflow.nn.relu": relu,
}

Function = Callable[[Array], Array]


def basic_lstm(
    x: Array, state: list[Array], kernel: Array, bias: Array, forget_bias: float, act: Function = np.tanh
) -> list[Array]:
    """TensorFlow's BasicLSTMCell: one kernel over [x; h], gates i, j, f, o; state c, h."""
    c, h = state
    i, j, f, o = np.split(np.concatenate([x, h]) @ kernel + bias, 4)
    c = c * sigmoid(f + forget_bias) + sigmoid(i) * act(j)
    return [c, act(c) * sigmoid(o)]


def lstm(
    x: Array,
    state: list[Array],
    kernel: Array,
    bias: Array,
    peepholes: Array,
    projection: Array | None,
    params: dict[str, Any],
) -> list[Array]:
    """TensorFlow's LSTMCell with all its options; peepholes hold w_i_diag, w_f_diag and w_o_diag."""
    c_prev, m_prev = state
    act = FUNCTIONS[params.get("activation", "tensorflow.tanh")]
    w_i, w_f, w_o = peepholes
    i, j, f, o = np.split(np.concatenate([x, m_prev]) @ kernel + bias, 4)
    c = sigmoid(f + params.get("forget_bias", 1.0) + w_f * c_prev) * c_prev + sigmoid(i + w_i * c_prev) * act(
        j
    )
    if "cell_clip" in params:
        c = np.clip(c, -params["cell_clip"], params["cell_clip"])
    m = sigmoid(o + w_o * c) * act(c)
    if projection is not None:
        m = m @ projection
        if "proj_clip" in params:
            m = np.clip(m, -params["proj_clip"], params["proj_clip"])
    return [c, m]


def gru(
    x: Array, state: list[Array], gates: Array, candidate: Array, bias: Array, act: Function = np.tanh
) -> list[Array]:
    """TensorFlow's GRUCell: the reset gate acts before the product with the candidate's kernel."""
    (h,) = state
    width = len(h)
    r, u = np.split(sigmoid(np.concatenate([x, h]) @ gates + bias[: 2 * width]), 2)
    c = act(np.concatenate([x, r * h]) @ candidate + bias[2 * width :])
    return [u * h + (1 - u) * c]


class Cell:
    """The cell of one layer, with weights converted to TensorFlow's layout."""

    def __init__(self, kind: str, tensors: Tensors, name: str, params: dict[str, Any]) -> None:
        self.kind, self.params = kind, params
        self.act = FUNCTIONS[params.get("activation", "tensorflow.tanh")]
        joined = np.concatenate([tensors[f"{name}.weight_ih"], tensors[f"{name}.weight_hh"]], axis=1).T
        self.bias = tensors[f"{name}.bias_ih"]
        self.kernel = joined
        self.width = tensors[f"{name}.weight_hh"].shape[1]
        units = params["num_units"]
        self.widths = [units, self.width] if "LSTM" in kind else [units]
        self.peepholes = tensors.get(f"{name}.peepholes", np.zeros((3, units)))
        self.projection = tensors[f"{name}.projection"].T if "num_proj" in params else None
        if "LSTM" in kind:  # the model's gates are in the order i, f, j, o
            i, f, j, o = np.split(joined, 4, axis=1)
            self.kernel = np.concatenate([i, j, f, o], axis=1)
            i, f, j, o = np.split(self.bias, 4)
            self.bias = np.concatenate([i, j, f, o])

    def start(self) -> list[Array]:
        return [np.zeros(width) for width in self.widths]

    def step(self, x: Array, state: list[Array]) -> list[Array]:
        if self.kind == "BasicLSTMCell":
            forget_bias = self.params.get("forget_bias", 1.0)
            return basic_lstm(x, state, self.kernel, self.bias, forget_bias, self.act)
        if self.kind in ("LSTMCell", "LSTMBlockCell"):
            return lstm(x, state, self.kernel, self.bias, self.peepholes, self.projection, self.params)
        if self.kind in ("GRUCell", "GRUBlockCell"):
            gates, candidate = np.split(self.kernel, [2 * self.width], axis=1)
            return gru(x, state, gates, candidate, self.bias, self.act)
        return [self.act(np.concatenate([x, state[0]]) @ self.kernel + self.bias)]


class Stack:
    """ExtendedMultiRNNCell: a stack of cells, optionally with residual connections."""

    def __init__(self, block: dict[str, object], tensors: Tensors, name: str) -> None:
        self.tensors, self.name, self.block = tensors, name, block
        layers = int(str(block.get("num_layers", 1)))
        kind = str(block.get("cell_class", "BasicLSTMCell"))
        params = block.get("cell_params", {})
        assert isinstance(params, dict)
        self.cells = [Cell(kind, tensors, f"{name}.layers.{layer}", params) for layer in range(layers)]

    def start(self) -> list[list[Array]]:
        return [cell.start() for cell in self.cells]

    def step(self, x: Array, states: list[list[Array]]) -> tuple[Array, list[list[Array]]]:
        residual = bool(self.block.get("residual_connections")) and len(self.cells) > 1
        combiner = self.block.get("residual_combiner", "add")
        if residual and combiner != "concat" and len(x) != self.cells[0].width:
            x = dense(x, self.tensors, f"{self.name}.entry")
        earlier, following = [x], []
        for cell, state in zip(self.cells, states, strict=True):
            following.append(cell.step(earlier[-1], state))
            output = following[-1][-1]
            if residual:
                inputs = earlier if self.block.get("residual_dense") else earlier[-1:]
                if combiner == "concat":
                    output = np.concatenate([output, *inputs])
                else:
                    output = output + (np.mean if combiner == "mean" else np.sum)(inputs, axis=0)
            earlier.append(output)
        return earlier[-1], following

    def run(self, inputs: list[Array]) -> tuple[list[Array], list[Array]]:
        """Return the outputs per step and the final states of all layers, first layer first."""
        states, outputs = self.start(), []
        for x in inputs:
            output, states = self.step(x, states)
            outputs.append(output)
        return outputs, [part for state in states for part in state]


def position_code(count: int, width: int) -> Array:
    """PE(j, k) = (1 - j/(J+1)) - (k/(d+1)) (1 - 2j/(J+1)), j and k from 1."""
    code = np.zeros((count, width))
    for j in range(1, count + 1):
        for k in range(1, width + 1):
            code[j - 1, k - 1] = (1 - j / (count + 1)) - (k / (width + 1)) * (1 - 2 * j / (count + 1))
    return code


def convolutions(inputs: Array, tensors: Tensors, name: str, layers: int) -> Array:
    """Convolutions with SAME padding and tanh, with residual connections from the second layer on."""
    for layer in range(layers):
        weight, bias = tensors[f"{name}.weights.{layer}"], tensors[f"{name}.biases.{layer}"]
        kernel = weight.shape[2]
        before = (kernel - 1) // 2
        outputs = np.tile(bias, (len(inputs), 1))
        for t in range(len(inputs)):
            for k in range(kernel):
                if 0 <= t + k - before < len(inputs):
                    outputs[t] += weight[:, :, k] @ inputs[t + k - before]
        inputs = np.tanh(outputs + inputs if layer else outputs)
    return inputs


def attend(query: Array, keys: list[Array], values: list[Array], tensors: Tensors, kind: str) -> Array:
    """Return the context: values weighted by the softmax of the scores of projected query and keys."""
    q = dense(query, tensors, "decoder.attention.project_query")
    scores = []
    for key in keys:
        k = dense(key, tensors, "decoder.attention.project_key")
        if kind == "AttentionLayerDot":
            scores.append(k @ q)
        else:
            scores.append(tensors["decoder.attention.score_weight"] @ np.tanh(k + q))
    weights = np.exp(np.array(scores) - np.max(scores))
    context: Array = (weights / weights.sum()) @ np.array(values)
    return context


def log_softmax(x: Array) -> Array:
    result: Array = x - np.max(x) - np.log(np.exp(x - np.max(x)).sum())
    return result


def attention_decoder(
    tokens: list[int],
    stack: Stack,
    states: list[list[Array]],
    keys: list[Array],
    values: list[Array],
    tensors: Tensors,
    kind: str,
) -> list[Array]:
    """Return the log-probabilities after each given token.

    The previous context is concatenated to the input; the layer that mixes context and output has a bias.
    """
    context, predicted = np.zeros(len(values[0])), []
    for token in tokens:
        output, states = stack.step(
            np.concatenate([tensors["decoder.embeddings.words"][token], context]), states
        )
        context = attend(output, keys, values, tensors, kind)
        pointer_log_probs = np.tanh(
            tensors["decoder.mix_weight"] @ np.concatenate([context, output]) + tensors["decoder.mix_bias"]
        )
        logits = tensors["generator.weights.0"] @ pointer_log_probs + tensors["generator.biases.0"]
        predicted.append(log_softmax(logits))
    return predicted
