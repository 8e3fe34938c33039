"""Every expression of the dashboard and the rules, asked of a Prometheus that scrapes a real site under traffic."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from extproc.sandbox.image import content, write_image
from extproc.sandbox.system import Sandbox
from extproc.telemetry.names import EXCHANGE_SPAN
from tests.dashboards.files import DASHBOARD, every_expression, panel_queries, rules, selectors
from tests.support.otlp_receiver import OtlpReceiver, plain
from tests.support.prometheus import Prometheus, targets
from tests.support.shell import NAME, Shell

pytestmark = [pytest.mark.e2e]

NEVER_ASKED = {"primary_then_secondary", "local"}
"""Clusters that lead somewhere where the primary failed, or is this site."""


async def pushed(shell: Shell, tag: str, seed: int) -> None:
    write_image(shell.folder / f"image-{tag}", tag, [content(50_000, seed)])
    await shell.run(
        *("skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", "admin:admin"),
        *(f"oci:image-{tag}:{tag}", f"docker://{shell.registry}/{NAME}:{tag}"),
    )


async def pulled(shell: Shell, tag: str) -> None:
    await shell.run(
        *("skopeo", "copy", "--src-tls-verify=false", "--src-creds", "reader:reader"),
        *(f"docker://{shell.registry}/{NAME}:{tag}", f"dir:{shell.folder}/pulled"),
    )


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        yield receiver


async def test_every_expression_has_data_of_a_real_site(tmp_path: Path, receiver: OtlpReceiver) -> None:
    telemetry = {"exporter": "otlp", "otlp_endpoint": f"http://127.0.0.1:{receiver.grpc_port}", "trace_ratio": 1.0}
    async with Sandbox(workers=2, settings={"telemetry": telemetry}) as sandbox:
        shell = Shell(tmp_path, sandbox)
        # What never happened on either side of a scrape has no rate.
        await pushed(shell, "first", 1)
        await shell.replicate("first")
        await pulled(shell, "first")
        async with Prometheus(tmp_path / "prometheus", targets(sandbox)) as prometheus:

            async def scraped() -> bool:
                return len(await prometheus.query("up == 1")) == 2

            await prometheus.until(scraped, "both are scraped")
            await pushed(shell, "second", 2)
            await shell.replicate("second")

            queries = list(panel_queries())
            empty = queries
            numbers = count()

            async def all_have_data() -> bool:
                nonlocal empty
                await pulled(shell, "second")
                # The same content under a new tag: a write, and a first read.
                await pushed(shell, f"next-{next(numbers)}", 2)
                empty = [each for each in empty if not finite(await prometheus.query(each[1]))]
                return not empty

            with suppress(AssertionError):
                await prometheus.until(all_have_data, "every query has data")
            assert [f"{title}: {query}" for title, query in empty] == []
            assert len(queries) > 40
            for rule in rules():
                await prometheus.query(rule["expr"])
            assert not await prometheus.firing()
            await envoy_has_what_is_selected(prometheus)
            await spans_have_what_the_table_asks_for(sandbox, receiver)


async def envoy_has_what_is_selected(prometheus: Prometheus) -> None:
    """Every label, and every cluster and listener by its name; tests/dashboards/test_labels.py looks at ours."""
    asked = [each for _, expression in every_expression() for each in selectors(expression)]
    for selector in {each for each in asked if each.metric.startswith("envoy_")}:
        real = [series["metric"] for series in await prometheus.query(selector.metric)]
        assert real, selector.metric
        for label, _, value in selector.matchers:
            found = {series.get(label) for series in real}
            assert found != {None}, f"{selector.metric} has no label {label}"
            if label in {"envoy_cluster_name", "envoy_http_conn_manager_prefix"}:
                # A cluster that was never asked has no times yet.
                assert set(value.split("|")) - NEVER_ASKED <= found, f"{selector.metric}: {label}"


def finite(series: list[dict[str, object]]) -> bool:
    return any(str(each["value"][1]) not in {"NaN", "+Inf", "-Inf"} for each in series)  # type: ignore[index]


async def spans_have_what_the_table_asks_for(sandbox: Sandbox, receiver: OtlpReceiver) -> None:
    """All that the panel of traces selects is on the spans that it selects."""
    await sandbox.stop("extproc")
    spans = [span for span in receiver.spans() if span.name == EXCHANGE_SPAN]
    sent = {name for span in spans for name in plain(span.attributes)}
    tables = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] == "table"]
    for panel in tables:
        query = panel["targets"][0]["query"]
        asked = set(re.findall(r"span\.([\w.]+)", query))
        assert asked, "nothing is selected"
        assert asked <= sent
        assert f'name = "{EXCHANGE_SPAN}"' in query
