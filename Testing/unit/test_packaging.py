"""What an installed extension and an installed wheel hold: everything, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import LungNoduleCADLib
from LungNoduleCADLib.resources import resource_path

PROJECT = Path(__file__).resolve().parents[2]
MODULE = PROJECT / "LungNoduleCAD"
CMAKE = MODULE / "CMakeLists.txt"


def cmake_list(name: str) -> list[str]:
    """The entries of `set(<name> ...)` with the module's name filled in."""
    found = re.search(rf"set\({name}\s+([^)]*)\)", CMAKE.read_text(encoding="utf-8"))
    assert found is not None, f"{CMAKE} has no set({name} ...)"
    return found.group(1).replace("${MODULE_NAME}", "LungNoduleCAD").split()


def tree(folder: Path, pattern: str) -> list[str]:
    return sorted(
        path.relative_to(MODULE).as_posix()
        for path in folder.rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )


def as_cmake(name: str, entries: list[str]) -> str:
    """What to paste into the file."""
    lines = (entry.replace("LungNoduleCAD", "${MODULE_NAME}") for entry in entries)
    return "\n".join([f"set({name}", *(f"  {line}" for line in lines), "  )"])


@pytest.mark.parametrize("name", ["MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"])
def test_cmake_lists_every_file_of_the_module(name: str) -> None:
    if name == "MODULE_PYTHON_SCRIPTS":
        expected = ["LungNoduleCAD.py", *tree(MODULE / "LungNoduleCADLib", "*.py")]
    else:
        expected = tree(MODULE / "Resources", "*")
    assert cmake_list(name) == expected, f"{CMAKE} must hold:\n{as_cmake(name, expected)}"


def test_the_index_entry_agrees_with_the_extension() -> None:
    entry = json.loads((PROJECT / "LungNoduleCAD.json").read_text(encoding="utf-8"))
    cmake = (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")
    texts = {"$schema", "category", "scm_url", "scm_revision", "build_subdirectory"}  # as that schema has them
    assert {"$schema", "category", "scm_url"} <= set(entry) <= texts | {"build_dependencies", "tier"}
    assert all(isinstance(entry[name], str) for name in texts & set(entry)) and entry["tier"] in (1, 3, 5)
    assert f"project({PROJECT.joinpath('LungNoduleCAD.json').stem})" in cmake
    depends = re.search(r'set\(EXTENSION_DEPENDS "([^"]*)"\)', cmake)
    assert depends is not None and depends.group(1).split() == entry["build_dependencies"]
    home = re.search(r'set\(EXTENSION_HOMEPAGE "([^"]*)"\)', cmake)
    assert home is not None and entry["scm_url"].startswith(home.group(1))


def test_pictures_the_extension_names_exist() -> None:
    cmake = (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8")
    named = re.findall(r"/(Resources/[\w/.-]+\.png)", cmake)
    assert named and all((PROJECT / path).is_file() for path in named)
    assert (MODULE / "Resources" / "Icons" / "LungNoduleCAD.png").is_file()


def test_resources_are_found_beside_or_inside_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resource_path("Models") == MODULE / "Resources" / "Models"
    installed = tmp_path / "LungNoduleCADLib"
    (installed / "Resources" / "Models").mkdir(parents=True)
    monkeypatch.setattr("LungNoduleCADLib.resources.__file__", str(installed / "resources.py"))
    assert resource_path("Models", "a.json") == installed / "Resources" / "Models" / "a.json"


def test_a_wheel_holds_the_library_with_its_weights_and_templates(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(PROJECT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob(f"lungnodulecad-{LungNoduleCADLib.__version__}-*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    library = set(tree(MODULE / "LungNoduleCADLib", "*.py"))
    resources = {
        f"LungNoduleCADLib/{name}" for part in ("Models", "Report") for name in tree(MODULE / "Resources" / part, "*")
    }
    assert names == library | resources
