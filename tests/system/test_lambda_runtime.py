"""The function in the process that Lambda itself would run."""

from __future__ import annotations

import pytest

from tests.batch.test_batch import DESTINATION, messages
from tests.support import lambda_runtime
from tests.support.aws_events import object_created
from tests.support.s3_server import Place
from vsv_pyramid.verification import verify


def test_as_lambda_runs_it(uploaded: str, place: Place) -> None:
    """In a process of Lambda's own client, with the environment that ingest.yaml sets and no other
    but what finds the server."""
    environment = {
        **place.server.environment(),
        **{
            name: f"{place}/scans" if name.endswith("SLIDES") else f"{place}/to"
            for name in ("VSV_PYRAMID_SLIDES", DESTINATION, "VSV_PYRAMID_FAILURES")
        },
        **dict.fromkeys(("VSV_PYRAMID_QUEUE", "VSV_PYRAMID_JOB_DEFINITION"), "none"),
        "VSV_PYRAMID_OPTIONS": "",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008",
    }
    with lambda_runtime.running("lambda_handler.ingest", environment) as ingest:
        assert ingest(messages(object_created(uploaded))) == {"batchItemFailures": []}
        assert ingest(object_created(f"{place.prefix}/scans/gone.svs")) is None
        with pytest.raises(lambda_runtime.FunctionError, match="AttributeError"):
            ingest("no event")
    assert verify(f"{place}/to/images/170782").errors == []
