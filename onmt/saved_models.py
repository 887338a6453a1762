"""Files that a training saves: `<save_model>_checkpoint.pt`, `<save_model>_epoch<E>_<score>.pt`."""

import os
import re
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"(?P<stem>.*)_(?:checkpoint|epoch\d+_[^_]*)\.pt", re.DOTALL)


def saved_models(where: str | Path) -> list[Path]:
    """The models in a folder, or those of the training whose `-save_model` is `where`; the newest first."""
    folder, stem = os.path.split(where)
    wanted: str | None = stem
    if os.path.isdir(where):
        folder, wanted = str(where), None
    found = []
    try:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                name = _NAME.fullmatch(entry.name)
                if name is not None and wanted in (None, name["stem"]) and entry.is_file():
                    found.append((entry.stat().st_mtime_ns, os.path.join(folder, entry.name)))
    except OSError:
        return []
    return [Path(path) for _, path in sorted(found, reverse=True)]


def saved_beside(path: str | Path) -> list[Path]:
    """The other models of the training that saved this one; the newest first. None for other names."""
    name = _NAME.fullmatch(Path(path).name)
    if name is None:
        return []
    return [other for other in saved_models(Path(path).with_name(name["stem"])) if other != Path(path)]
