"""The table of GPU budgets for each kind of training step and search; figures may only fall.

`python test/device/budgets.py` measures all configurations on the pretended GPU. It lowers figures where less
is needed now, adds rows for new configurations and removes rows of configurations that no longer exist.
"""

import sys
from pathlib import Path

FILE = Path(__file__).with_name("budgets.tsv")
COLUMNS = ("launches", "syncs", "uploads", "loose_weights")
"""Kernel launches; synchronisations, in which the host waits for the device; blocking copies to the device;
calls of recurrent layers whose weights cuDNN has to copy into one chunk.
"""

Figures = tuple[int, ...]


def read() -> dict[str, Figures]:
    """Return the figures by kind and name, as in `step: dbrnn, even` or `search: beam 5`."""
    header, *rows = [line.split("\t") for line in FILE.read_text(encoding="utf-8").splitlines()]
    assert header == ["name", *COLUMNS]
    return {name: tuple(map(int, figures)) for name, *figures in rows}


def write(table: dict[str, Figures]) -> None:
    """Replace the table's file."""
    rows = [["name", *COLUMNS], *([name, *map(str, figures)] for name, figures in table.items())]
    FILE.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def lowered(known: dict[str, Figures], measured: dict[str, Figures]) -> dict[str, Figures]:
    """Return the measured table, with figures at most those of the known table."""
    return {name: tuple(map(min, figures, known.get(name, figures))) for name, figures in measured.items()}


def main() -> None:
    """Measure all configurations and update the table."""
    here = Path(__file__).resolve().parent
    sys.path[:0] = [str(here.parents[1]), str(here)]
    import torch
    from configurations import training_configurations
    from measuring import cost_of, numbers, search_cost
    from searches import search_cases

    torch.set_num_threads(1)  # more threads don't help with tiny tensors
    measured = {
        f"step: {configuration.name}": numbers(cost_of(configuration)[0])
        for configuration in training_configurations()
    }
    measured |= {f"search: {case.name}": numbers(search_cost(case)[0]) for case in search_cases()}
    write(lowered(read() if FILE.exists() else {}, measured))


if __name__ == "__main__":
    main()
