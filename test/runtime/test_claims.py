import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Timer

import pytest

from onmt.errors import OnmtError
from onmt.runtime import processes
from onmt.runtime.processes import claimed

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="claims need Linux")


def test_a_name_is_held_once(tmp_path: Path) -> None:
    (tmp_path / "twin").symlink_to(tmp_path)
    with claimed(str(tmp_path / "m"), "-save_model"):
        with (
            pytest.raises(OnmtError, match=r"-save_model .*/m: another training writes"),
            claimed(str(tmp_path / "twin" / "m"), "-save_model"),
        ):
            pass
        with claimed(str(tmp_path / "other"), "-save_model"):
            pass
    with claimed(str(tmp_path / "m"), "-save_model"):
        assert not list(tmp_path.glob("m*"))


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from onmt.runtime.processes import claimed\n"
        "with claimed(sys.argv[1], 'x'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "m")], stdout=subprocess.PIPE, cwd=root
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OnmtError), claimed(str(tmp_path / "m"), "x"):
            pass
        holder.kill()
        holder.wait()
        with claimed(str(tmp_path / "m"), "x"):
            pass


def test_a_name_that_becomes_free_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE", 60.0)
    with ExitStack() as first:
        first.enter_context(claimed(str(tmp_path / "m"), "x"))
        Timer(0.2, first.close).start()
        with claimed(str(tmp_path / "m"), "x"):
            pass
