"""The wheel, built and used far from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import vanishgrad

REPOSITORY = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def python(*arguments: str, cwd: Path, **environment: str) -> str:
    """The standard output of `python *arguments`; fails with everything it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), cwd=REPOSITORY)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    python("-m", "build", "--sdist", "--no-isolation", "--outdir", str(out), cwd=REPOSITORY)
    (built,) = out.glob("*.tar.gz")
    return built


def test_the_sdist_holds_the_tests_and_not_the_book(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"vanishgrad/version.py", "conf/config.yaml", "tests/conftest.py", "lowest.txt"} <= names
    assert not [name for name in names if name.startswith("docs/lab/")]


def test_wheel_and_sdist_have_the_version_of_the_package(wheel: Path, sdist: Path) -> None:
    assert wheel.name.startswith(f"vanishgrad-{vanishgrad.__version__}-")
    assert sdist.name == f"vanishgrad-{vanishgrad.__version__}.tar.gz"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the unpacked wheel."""
    target = tmp_path_factory.mktemp("site")
    python("-m", "pip", "install", "--no-deps", "--target", str(target), str(wheel), cwd=target)
    return target


def test_the_wheel_holds_config_launcher_and_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = [REPOSITORY / "vanishgrad" / room / "templates" for room in ("report", "lab")]
    files = {file.relative_to(REPOSITORY).as_posix() for folder in folders for file in folder.iterdir()}
    assert "vanishgrad/report/templates/page.html" in files
    assert {"vanishgrad/conf/config.yaml", *files} <= names
    assert any(name.startswith("hydra_plugins/vanishgrad_launcher/") for name in names)
    assert "hydra_plugins/__init__.py" not in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "conf/", "outputs/"))]


def test_the_wheel_holds_every_config_file(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    conf = REPOSITORY / "conf"
    expected = {f"vanishgrad/conf/{file.relative_to(conf).as_posix()}" for file in conf.rglob("*.yaml")}
    assert expected
    assert expected == {name for name in names if name.startswith("vanishgrad/conf/")}


def test_the_installed_package_finds_its_own_config(installed: Path, tmp_path: Path) -> None:
    where = python(
        "-c", "import vanishgrad; print(vanishgrad.__file__)", cwd=tmp_path, PYTHONPATH=str(installed)
    )
    assert Path(where.strip()).is_relative_to(installed)
    shown = python("-m", "vanishgrad", "options", "act", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "leaky_relu" in shown


def test_the_installed_package_trains_from_any_directory(installed: Path, tmp_path: Path) -> None:
    python("-m", "vanishgrad", "train", "depth=1", "max_steps=1", cwd=tmp_path, PYTHONPATH=str(installed))
    (run,) = (tmp_path / "outputs").iterdir()
    assert (run / "gradients.csv").is_file()
