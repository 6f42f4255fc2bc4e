"""Each floor of the library imports only floors below it, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LIBRARY = PROJECT / "LungNoduleCAD" / "LungNoduleCADLib"

FLOORS = (
    "errors", "resources", "volume", "findings", "io", "preprocess", "networks", "measurement", "rules", "growth",
    "simulation", "detection", "evaluation", "review", "report", "explain", "scene", "app", "cli",
)  # fmt: skip
"""From the ground up; a file or a folder each."""

HOST_PACKAGES = {"slicer", "vtk", "vtkmodules", "qt", "ctk"}
HOST_FLOOR = "scene"

HEAVY_PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "matplotlib", "slicer", "pydicom", "pywt")


def library_files() -> list[Path]:
    return sorted(LIBRARY.rglob("*.py"))


def floor_of(path: Path) -> str:
    """The first part of a file's place in the library, without `.py`."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names of all modules a file imports, wherever in it, and the lines. `from . import a` names `a` too."""
    package = ("LungNoduleCADLib", *path.relative_to(LIBRARY).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*origin, *([node.module] if node.module else [])))
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def imported_floors(path: Path) -> Iterator[tuple[str, int]]:
    for name, line in imported_modules(path):
        parts = name.split(".")
        if parts[0] == "LungNoduleCADLib" and len(parts) > 1 and parts[1] in FLOORS:
            yield parts[1], line


def test_every_part_of_the_library_has_its_floor() -> None:
    parts = {floor_of(path) for path in library_files()} - {"__init__"}
    assert parts == set(FLOORS), "a new part needs a place in FLOORS, and one that is gone must leave it"


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_only_floors_below_it(floor: str) -> None:
    allowed = set(FLOORS[: FLOORS.index(floor) + 1])
    faults = [
        f"{path.relative_to(PROJECT)}:{line} imports {used}"
        for path in library_files()
        if floor_of(path) == floor
        for used, line in imported_floors(path)
        if used not in allowed
    ]
    assert not faults, "\n".join(faults)


def host_imports(paths: Iterable[Path]) -> list[str]:
    return [
        f"{path.relative_to(PROJECT)}:{line} imports {name}"
        for path in paths
        if floor_of(path) != HOST_FLOOR
        for name, line in imported_modules(path)
        if name.split(".")[0] in HOST_PACKAGES
    ]


def reachable_from(*starts: Path) -> set[Path]:
    """Files of the library that these import, at any depth, at once or later."""
    files = {".".join(("LungNoduleCADLib", *p.relative_to(LIBRARY).with_suffix("").parts)): p for p in library_files()}
    reached, open_ends = set[Path](), list(starts)
    while open_ends:
        path = open_ends.pop()
        if path not in reached:
            reached.add(path)
            open_ends += [files[name] for name, _ in imported_modules(path) if name in files]
    return reached


def test_below_the_application_only_the_scene_imports_slicer() -> None:
    faults = host_imports(path for path in library_files() if floor_of(path) not in ("app", "cli"))
    assert not faults, "\n".join(faults)


def test_what_runs_without_slicer_never_imports_it_but_for_the_scene() -> None:
    """The widget's helpers in `app/` may know Slicer and Qt; the command line and the child process may not."""
    reached = reachable_from(LIBRARY / "cli.py", LIBRARY / "app" / "worker.py")
    assert {"cli", "app", "detection", "networks", "scene"} <= {floor_of(path) for path in reached}
    assert not (faults := host_imports(reached)), "\n".join(faults)


def test_the_library_imports_itself_relatively() -> None:
    faults = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path in library_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and not node.level and str(node.module).startswith("LungNoduleCADLib"))
        or (isinstance(node, ast.Import) and any(a.name.startswith("LungNoduleCADLib") for a in node.names))
    ]
    assert not faults, "\n".join(faults)


def test_the_check_itself_sees_every_form_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "LIBRARY", tmp_path)
    (tmp_path / "io").mkdir()
    file = tmp_path / "io" / "reader.py"
    file.write_text(
        "from .. import scene\nfrom ..app.run import x\nimport LungNoduleCADLib.cli\n"
        "def f():\n    from ..report import y\n    from .atomic import z\n"
    )
    assert {floor for floor, _ in imported_floors(file)} == {"scene", "app", "cli", "report", "io"}


def modules_after(statement: str) -> set[str]:
    """Top-level packages a fresh interpreter holds after a statement, standard library included."""
    code = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    environment = {"PYTHONPATH": str(LIBRARY.parent), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    statement = (
        "from LungNoduleCADLib.cli import main\n"
        "try:\n    main(['detect', '--help'])\nexcept SystemExit:\n    pass"
    )  # fmt: skip
    loaded = modules_after(statement)
    assert "argparse" in loaded and loaded.isdisjoint(HEAVY_PACKAGES)


def test_reading_images_does_not_import_torch() -> None:
    loaded = modules_after("import LungNoduleCADLib.io, LungNoduleCADLib.volume")
    assert "SimpleITK" in loaded and loaded.isdisjoint({"torch", "matplotlib", "slicer"})
