"""The one place that knows the version; `--version`, the package and every checkpoint read it here."""

from typing import Final

VERSION: Final = "0.1.0"
