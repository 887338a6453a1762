"""The packages of the extra `serve`, which only servers need. No torch here."""

from importlib.util import find_spec
from typing import Final

from onmt.errors import OptionError

_PACKAGES: Final = ("prometheus_client", "starlette", "uvicorn", "zmq")


def require_serve() -> None:
    """Raise OptionError, saying how to install them, unless the packages are there."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise OptionError(
            f"the servers need {', '.join(missing)}: pip install -c constraints.txt -e '.[serve]'"
        )
