"""The files for containers, by the linters of their kinds. Nothing here builds an image."""

import shutil
import subprocess
from pathlib import Path

import pytest

CONTAINERS = Path(__file__).parent.parent / "containers"


@pytest.mark.parametrize(
    ("linter", "options", "pattern"),
    [
        ("hadolint", [], "*.Dockerfile"),
        ("check-jsonschema", ["--builtin-schema", "vendor.compose-spec"], "compose.yaml"),
    ],
)
def test_a_linter_of_its_kind_has_nothing_to_say(linter, options, pattern):
    if shutil.which(linter) is None:
        pytest.skip(f"{linter} is not installed: `make test` installs it where it has a wheel")
    files = sorted(CONTAINERS.glob(pattern))
    done = subprocess.run([linter, *options, *files], capture_output=True, text=True, check=False)
    assert files and done.returncode == 0, done.stdout + done.stderr


def test_every_folder_that_is_mounted_or_built_from_is_there():
    import yaml

    services = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())["services"]
    for service in services.values():
        context = CONTAINERS / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).is_file()
        copied = [
            line.split()[1]
            for line in (context / service["build"]["dockerfile"]).read_text().splitlines()
            if line.startswith("COPY")
        ]
        assert copied and all((context / path).exists() for path in copied)
