"""The chart, by the real Helm library, in a process of its own: it is a Go program, whose threads and signal handlers
are not for a process that starts others.

    python -m tests.helm.chart < request.json > answer.json
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "envoy" / "helm" / "geo-registry"
RELEASE: Final = "geo"
NAMESPACE: Final = "registry"
Values = dict[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """Of one set of values. `refusal`: what Helm said instead, of the values or in a template."""

    texts: dict[str, str]
    """What each template gave, by its path."""
    findings: list[str]
    """Of `helm lint --strict`, but for mere information."""
    refusal: str

    @property
    def documents(self) -> list[Document]:
        """Every Kubernetes document, in the templates' order."""
        texts = [text for path, text in self.texts.items() if path.endswith(".yaml")]
        return [document for text in texts for document in yaml.safe_load_all(text) if document]

    @property
    def notes(self) -> str:
        (text,) = [text for path, text in self.texts.items() if path.endswith("NOTES.txt")]
        return text

    def of_kind(self, kind: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str) -> Document:
        (document,) = self.of_kind(kind)
        return document

    @property
    def files(self) -> dict[str, str]:
        """Of the ConfigMap that pods mount: texts by name."""
        (document,) = [each for each in self.of_kind("ConfigMap") if "geo-extproc.toml" in each["data"]]
        files: dict[str, str] = document["data"]
        return files


def outcome(values: Values) -> Outcome:
    """Of the chart with these."""
    (found,) = outcomes([values])
    return found


def outcomes(sets: Sequence[Values]) -> list[Outcome]:
    """Of the chart with each of these, in their order."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.helm.chart"],
        input=json.dumps(sets),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Outcome(**found) for found in json.loads(done.stdout)]


def main() -> None:
    import helm_python

    chart = helm_python.Chart.load(CHART)
    json.dump([asdict(_outcome(helm_python, chart, values)) for values in json.load(sys.stdin)], sys.stdout)


def _outcome(helm: Any, chart: Any, values: Values) -> Outcome:
    texts: dict[str, str] = {}
    findings: list[str] = []
    refusal = ""
    try:
        chart.validate_schema(values)
        texts = chart.render(values, name=RELEASE, namespace=NAMESPACE)
        linted = helm.lint(CHART, values, strict=True, namespace=NAMESPACE)
        findings = [str(message) for message in linted["messages"] if message["severity"] > 1]
        findings += [str(error) for error in linted["errors"]]
    except helm.HelmError as error:
        refusal = str(error)
    return Outcome(texts, findings, refusal)


if __name__ == "__main__":
    main()
