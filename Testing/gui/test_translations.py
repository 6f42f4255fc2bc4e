"""Ready for translation: every text of the user interface goes through `_()`, in a form that Slicer's tools find."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from host import Module

from gui.driving import add, detect, headings, set_threshold, table_column, texts
from gui.module_inputs import MODULE_FILE
from LungNoduleCADLib.volume import Volume

FOLDER = MODULE_FILE.parent / "LungNoduleCADLib" / "app" / "module"
SOURCES = [MODULE_FILE, *sorted(FOLDER.glob("*.py"))]
UI_FILE = MODULE_FILE.parent / "Resources" / "UI" / "LungNoduleCAD.ui"
SHOWN_PROPERTIES = {"text", "toolTip", "title", "windowTitle", "labelText", "placeholderText", "helpText", "statusTip"}
SHOWING_CALLS = {"setText", "setToolTip", "setTitle", "errorDisplay", "infoDisplay", "warningDisplay", "addItem"}

# What update_translations.py of Slicer looks for before it hands a file to lupdate.
SLICERS_PATTERN = re.compile(r"""[^_]_\((\s*?".+?"\s*?)\)""", re.DOTALL)


def nodes_of(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def translations(path: Path) -> list[ast.Call]:
    return [
        node
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"
    ]


def is_bare_text(node: ast.AST | None) -> bool:
    """Letters that nobody can translate."""
    if isinstance(node, ast.JoinedStr):
        return any(is_bare_text(part) for part in node.values)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(re.search("[A-Za-z]{2}", node.value))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_only_plain_literals_are_translated(path: Path) -> None:
    for call in translations(path):
        assert len(call.args) == 1 and not call.keywords
        assert isinstance(call.args[0], ast.Constant), f"{path.name}:{call.lineno} is computed"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_slicers_tool_finds_each_of_them_whole(path: Path) -> None:
    found = {ast.literal_eval(f"({text})") for text in SLICERS_PATTERN.findall(path.read_text(encoding="utf-8"))}
    assert found == {call.args[0].value for call in translations(path) if isinstance(call.args[0], ast.Constant)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_is_shown_untranslated(path: Path) -> None:
    faults = []
    for node in nodes_of(path):
        if isinstance(node, ast.Assign):
            names = {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
            if names & SHOWN_PROPERTIES and is_bare_text(node.value):
                faults.append(node.lineno)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SHOWING_CALLS:
            faults += [node.lineno for argument in node.args[:1] if is_bare_text(argument)]
    assert not faults, f"{path.name}: lines {faults}"


def test_placeholders_have_names() -> None:
    """A translator may have to change their order."""
    for path in SOURCES:
        for call in translations(path):
            assert isinstance(call.args[0], ast.Constant)
            assert all(re.findall(r"\{(\w*)\}", call.args[0].value)), f"{path.name}:{call.lineno}"


def test_ui_file_marks_what_is_no_text_for_people() -> None:
    for element in ElementTree.parse(UI_FILE).iter("property"):
        text = element.find("string")
        if element.get("name") in ("settingKey", "SlicerParameterName"):
            assert text is not None and text.get("notr") == "true"
        elif text is not None:
            assert text.get("notr") is None


def test_translated_texts_are_shown(
    module: Module, chest: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In capitals, which keep the placeholders only where they are filled in after the translation."""

    def shout(text: str) -> str:
        return re.sub(r"\{\w+\}|\w+", lambda part: part[0] if part[0].startswith("{") else part[0].upper(), text)

    from LungNoduleCADLib.app.module import (
        candidates_panel,
        columns,
        findings_table,
        panel,
        review_texts,
        viewing_panel,
    )
    from LungNoduleCADLib.app.module import texts as said

    for part in (candidates_panel, columns, findings_table, panel, review_texts, said, viewing_panel):
        monkeypatch.setattr(part, "_", shout)
    table: Any = module.widget.panel.candidates.table
    table._columns = columns.candidate_columns()
    add(module, chest)
    detect(module, tmp_path)
    set_threshold(module, 0.5)
    assert texts(module)["detectButton"] == "DETECT NODULES"
    assert texts(module)["countsLabel"] == "3 OF 5 CANDIDATES SHOWN"
    assert "SUITABLE" in texts(module)["verdictLabel"]
    assert headings(module)[:2] == ["NODULE", "SCORE"]
    assert module.widget.ui.progressLabel.property("text") == "0 OF 3 REVIEWED"
    assert table_column(module, "STATUS") == ["TO REVIEW"] * 3
