"""The pages for people, against the code: what they name exists, what exists is named, and the tables are true."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import BaseModel

from extproc.auth.access import required_access
from extproc.auth.grant import Access, Grant
from extproc.bootstrap.access_log import FIELDS
from extproc.bootstrap.routes import route_configuration
from extproc.cli import cli
from extproc.oci.operation import Kind
from extproc.oci.parse import parse_operation
from extproc.routing.decision import Forward, Lookup, Refuse, admit
from extproc.routing.reason import Reason
from extproc.sandbox.edge import merged, toml
from extproc.settings import Settings
from extproc.telemetry import names
from extproc.telemetry.log_lines import LOST

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "envoy").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^|[\s/(])geo-extproc ([a-z][a-z-]*)((?: +[^\s|;&>]+)*)")
OPTION = re.compile(r"(?<!\S)(--?[a-z][a-z-]*)")
COMPLETE: dict[str, Any] = {
    "auth": {"mode": "passthrough"},
    "sites": {"primary": {"url": "http://primary"}, "secondary": {"url": "http://secondary"}},
    "store": {"url": "redis://127.0.0.1"},
}
"""What an example that shows some tables only is completed with."""

each_page = pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])


def code_of(page: Path) -> list[str]:
    """The page's code: blocks (fenced or indented by four), and spans."""
    text = page.read_text()
    blocks = [body for _, body in FENCE.findall(text)]
    prose = FENCE.sub("", text)
    indented = [line.strip() for line in prose.splitlines() if line.startswith("    ")]
    return [*blocks, *indented, *CODE.findall(prose)]


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)


def anchor(heading: str) -> str:
    """As GitHub and GitLab make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def settings_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The dotted name of each table and key."""
    for key, field in model.model_fields.items():
        name = f"{path}.{key}" if path else key
        yield name
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ != "Endpoint":
                yield from settings_of(kind, name)


SETTINGS = set(settings_of(Settings))
KEYS = sorted(name for name in SETTINGS if not any(other.startswith(f"{name}.") for other in SETTINGS))


def variable(name: str) -> str:
    return "GEO_EXTPROC_" + name.replace(".", "__").upper()


def rows(page: Path, *columns: str) -> Iterator[tuple[str, ...]]:
    """The cells of each table whose header is `columns`."""
    inside = False
    for line in page.read_text().splitlines():
        cells = tuple(cell.strip() for cell in line.strip().strip("|").split(" | ")) if line.startswith("|") else ()
        if cells == columns:
            inside = True
        elif not cells:
            inside = False
        elif inside and not line.startswith("|--"):
            yield cells


# Every page


def test_there_are_pages_to_test() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= {page.name for page in PAGES}
    assert len(PAGES) >= 10


@each_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    # A regular expression may look like a link.
    for target in LINK.findall(re.sub(r"`[^`\n]*\]\([^`\n]*`", "", FENCE.sub("", page.read_text()))):
        if target.startswith(("https://", "http://")):
            continue
        file, _, fragment = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), target
        assert not fragment or fragment in [anchor(heading) for heading in headings(there)], target


@each_page
def test_commands_and_their_options_exist(page: Path) -> None:
    group = typer.main.get_command(cli)
    commands = getattr(group, "commands", {})
    assert len(commands) >= 6
    for code in code_of(page):
        for name, arguments in COMMAND.findall(code):
            assert name in commands, f"geo-extproc {name}"
            known = {option for parameter in commands[name].params for option in parameter.opts} | {"--help"}
            assert set(OPTION.findall(arguments)) <= known, f"geo-extproc {name}{arguments}"


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in code_of(page):
        assert set(re.findall(r"^make ([a-z-]+)", code, re.MULTILINE)) <= targets, code


def is_value(name: str) -> bool:
    """The chart has a value of that name, `a.b`."""
    found = yaml.safe_load((ROOT / "envoy" / "helm" / "geo-registry" / "values.yaml").read_text())
    for key in name.split("."):
        if key not in found:
            return False
        found = found[key]
    return True


@each_page
def test_settings_that_are_named_exist(page: Path) -> None:
    tables = "|".join(Settings.model_fields)
    for code in code_of(page):
        found = re.fullmatch(rf"\[?((?:{tables})\.[a-z_.]+)\]?(?: = .*)?", code)
        extension = found is not None and found[1].startswith("envoy.") and found[1].count(".") > 1
        if found and not extension and not found[1].endswith((".py", ".toml", ".yaml")):
            assert found[1] in SETTINGS or (page.name == "kubernetes.md" and is_value(found[1])), code
        table = re.fullmatch(r"\[([a-z_.]+)\]", code)
        assert table is None or table[1] in SETTINGS, code


@each_page
def test_environment_variables_that_are_named_exist(page: Path) -> None:
    known = {variable(name) for name in SETTINGS} | {"GEO_EXTPROC_CONFIG"}
    found = re.findall(r"(?<!_)GEO_EXTPROC_[A-Z_]*[A-Z](?![A-Z_<])", page.read_text())
    assert set(found) <= known


@each_page
def test_toml_examples_load(page: Path, tmp_path: Path) -> None:
    for language, body in FENCE.findall(page.read_text()):
        if language == "toml":
            example = tomllib.loads(body)
            file = tmp_path / "geo-extproc.toml"
            whole = {"auth", "sites"} <= example.keys()
            file.write_text(body if whole else toml(merged(COMPLETE, example)))
            Settings.load(file)


@each_page
def test_paths_of_the_repository_that_are_named_exist(page: Path) -> None:
    for code in code_of(page):
        if re.fullmatch(r"(?:extproc|tests|docs|protos|envoy|\.ci)/[\w./-]*", code):
            assert (ROOT / code).exists() or (page.parent / code).exists(), code


# docs/configuration.md


def test_configuration_is_what_the_settings_give() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate", "--check"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_a_stale_configuration_page_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = runpy.run_path(str(DOCS / "generate"))
    stale = tmp_path / "docs" / "configuration.md"
    stale.parent.mkdir()
    stale.write_text(generator["render"](generator["tables"]()).replace("`60`", "`61`"))
    generator["main"].__globals__.update(ROOT=tmp_path, TARGET=stale)
    assert generator["main"](["--check"]) == 1
    assert "docs/configuration.md is not what" in capsys.readouterr().err
    assert generator["main"]([]) == 0
    assert generator["main"](["--check"]) == 0
    assert generator["main"](["--wrong"]) == 2


def test_configuration_has_every_setting_with_a_meaning() -> None:
    text = (DOCS / "configuration.md").read_text()
    cells = {row[0]: row for row in rows(DOCS / "configuration.md", "setting", "type", "default", "meaning")}
    for name in KEYS:
        row = cells[f"`{name.rpartition('.')[2]}`<br>`{variable(name)}`"]
        assert all(row), f"{name} has an empty cell"
        assert f"## `[{name.rpartition('.')[0]}]`" in text
    assert len(cells) == len(KEYS) > 50


# docs/decisions.md and docs/reasons.md


@pytest.mark.parametrize("reason", [pytest.param(reason.value, id=reason.value) for reason in Reason])
def test_every_reason_is_explained_and_drawn(reason: str) -> None:
    assert headings(DOCS / "reasons.md").count(reason) == 1
    explanation = (DOCS / "reasons.md").read_text().partition(f"\n### {reason}\n")[2].partition("\n#")[0]
    assert len(explanation.split()) >= 20
    decisions = (DOCS / "decisions.md").read_text()
    drawing = next(body for language, body in FENCE.findall(decisions) if language == "mermaid")
    assert re.search(rf"[>\s]{reason}[\",<]", drawing), "the flow has no end with it"
    assert f"`{reason}`" in FENCE.sub("", decisions), "no table has it"


def test_the_reasons_that_have_a_section_exist() -> None:
    sections = re.findall(r"^### (.+)$", (DOCS / "reasons.md").read_text(), re.MULTILINE)
    assert set(sections) == {reason.value for reason in Reason}


def test_each_reason_has_a_row_that_leads_to_its_section() -> None:
    table = list(rows(DOCS / "reasons.md", "reason", "who answers, and what the client sees", "if there are many"))
    sections = re.findall(r"^### (.+)$", (DOCS / "reasons.md").read_text(), re.MULTILINE)
    assert [reason for reason, _, _ in table] == [f"[`{section}`](#{section})" for section in sections]
    assert all(seen and remedy for _, seen, remedy in table)


DIGEST = f"sha256:{'a' * 64}"
TABLE = list(rows(DOCS / "decisions.md", "operation", "request", "needs", "goes to", "reason"))


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0]) for row in TABLE])
def test_each_row_that_needs_no_evidence_is_true(row: tuple[str, ...]) -> None:
    _, request, needs, goes_to, reason = (cell.replace("`", "") for cell in row)
    for placeholder, value in {
        "<name>": "a/b",
        "<other>": "c/d",
        "<tag>": "v1",
        "<digest>": DIGEST,
        "<id>": "u",
    }.items():
        request, needs = request.replace(placeholder, value), needs.replace(placeholder, value)
    operation = parse_operation(*request.split(" ", 1))
    needed = required_access(operation)
    assert set(needed) == set(_accesses(needs))
    decided = admit(operation, Grant(frozenset(needed), 0.0))
    match decided:
        case Refuse(status=status):
            assert goes_to == f"answered here: {status}"
        case Forward(route=route):
            assert goes_to == route.value
        case Lookup():
            pytest.fail("it needs evidence")
    assert decided.reason.value == reason


def _accesses(needs: str) -> Iterator[Access]:
    """From `pull, push; pull on c/d`, a scope, or a dash."""
    if needs.startswith("registry:"):
        yield Access(*needs.split(":"))
    elif needs != "–":
        for part in needs.split("; "):
            actions, _, name = part.partition(" on ")
            for action in actions.split(", "):
                yield Access("repository", name or "a/b", action)


def test_the_rows_have_every_kind_of_operation_that_needs_no_evidence() -> None:
    requests = [row[1].replace("`", "").replace("<digest>", DIGEST).replace("<name>", "a/b") for row in TABLE]
    kinds = {parse_operation(*request.split(" ", 1)).kind for request in requests}
    assert kinds == set(Kind) - {Kind.BLOB, Kind.MANIFEST}


# docs/operations.md and docs/envoy.md


def test_every_field_of_the_access_log_is_explained() -> None:
    cells = [row[0] for row in rows(DOCS / "operations.md", "field", "meaning")]
    found = [field for cell in cells for field in CODE.findall(cell)]
    assert sorted(found) == sorted(FIELDS)


def test_every_name_of_telemetry_is_explained() -> None:
    text = (DOCS / "operations.md").read_text()
    values = [value for key, value in vars(names).items() if key.isupper() and key != "SERVICE"]
    assert len(values) >= 10
    assert [value for value in values if f"`{value}`" not in text] == []


def test_every_metric_that_is_named_exists() -> None:
    known = {value for key, value in vars(names).items() if key.isupper()}
    for page in PAGES:
        found = {name for name in CODE.findall(page.read_text()) if re.fullmatch(r"geo_extproc\.[a-z_.]+", name)}
        assert found <= known, page.name


LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}


def lines_of_the_log() -> Iterator[tuple[str, str]]:
    """The text of each `log.…("…")`, and its level; of `tell` the worse of the two that it may have."""
    for file in sorted((ROOT / "extproc").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(ast.Attribute(ast.Name("log"), method), [ast.Constant(str(text)), *_]) if (
                    method in LEVELS
                ):
                    yield text, LEVELS[method]
                case ast.Call(ast.Name("tell"), [ast.Constant(str(text)), *_]):
                    yield text, "warning"


def test_every_line_of_the_log_that_matters_is_explained_with_its_level() -> None:
    written = set(lines_of_the_log()) | {(LOST, "error")}
    assert len(written) >= 30
    told: dict[str, list[str]] = {}
    for line, levels, meaning in rows(DOCS / "operations.md", "line", "level", "means"):
        told |= {begins.rstrip("… "): levels.split(", ") for begins in CODE.findall(line)}
        told |= {end.rstrip("… "): ["info"] for end in re.findall(r"\[`([^`]+)`\]", meaning)}

    def explained(text: str, level: str) -> bool:
        return any(text.startswith(begins) and level in levels for begins, levels in told.items())

    matter = sorted(text for text, level in written if level != "info" and not explained(text, level))
    assert matter == []
    assert [begins for begins in told if not any(text.startswith(begins) for text, _ in written)] == []


def test_every_route_is_explained_in_its_order() -> None:
    settings = Settings.model_validate(merged(COMPLETE, {"sites": {"issuer": {"url": "http://issuer"}}}))
    (host,) = route_configuration(settings).virtual_hosts
    first = [CODE.findall(row[0]) for row in rows(DOCS / "envoy.md", "route", "matches", "goes to")]
    told = [name for names_ in first for name in names_]
    actual = [route.name for route in host.routes]
    assert sorted(told) == sorted(actual)
    # Two that refuse stand in one row, with the upload's start between them.
    order = [name for name in told if name != "unseen-trailing-slash"]
    assert order == [name for name in actual if name != "unseen-trailing-slash"]


# README.md and CHANGELOG.md


def test_the_changelog_has_an_unreleased_section_or_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text
    assert version in text


def test_the_readme_shows_a_demo_that_went_well() -> None:
    demo = next(body for _, body in FENCE.findall((ROOT / "README.md").read_text()) if "steps as expected" in body)
    steps = int(re.findall(r"all (\d+) steps as expected", demo)[0])
    assert len(re.findall(r"^✓", demo, re.MULTILINE)) == steps
    assert "✗" not in demo
