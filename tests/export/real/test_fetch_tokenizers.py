"""scripts/fetch-tokenizers: what comes is checked, and a registry that is not there is said so."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "fetch-tokenizers"
OTHER = """
cd "$4"
mkdir package
echo {} >package/encoder.json
tar -czf other.tgz package
echo other.tgz
"""


@pytest.mark.parametrize(("npm", "said"), [(OTHER, "is not what it was"), ("exit 1", "npm has not given")])
def test_nothing_is_kept_of_what_was_not_asked_for(npm: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = Path(shutil.copy(SCRIPT, tmp_path / "scripts"))
    (tmp_path / "npm").write_text(f"#!/usr/bin/env bash\n{npm}\n")
    (tmp_path / "npm").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        [script], env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and said in done.stderr and "hint: " in done.stderr
    assert not any((tmp_path / "data" / "tokenizers").iterdir())
