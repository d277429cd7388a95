"""The chart's values fit its schema; what Helm makes of them is looked at by `make helm-test`."""

import json

import jsonschema
import pytest
import yaml

from composition import ROOT

CHART = ROOT / "deploy/helm/millrace"
EXAMPLES = sorted((ROOT / "tests/helm/values").glob("*.yaml"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.mark.parametrize("file", [CHART / "values.yaml", *EXAMPLES], ids=lambda it: it.name)
def test_values_fit_their_schema(file):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(yaml.safe_load(file.read_text()), SCHEMA)


def test_a_misspelt_value_is_refused():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"ingest": {"replica": 2}}, SCHEMA)


def test_every_value_is_in_the_schema():
    def keys(values, schema, path=""):
        for key, value in values.items():
            assert key in schema["properties"], f"{path}{key}"
            below = schema["properties"][key]
            if isinstance(value, dict) and "properties" in below:
                keys(value, below, f"{path}{key}.")

    keys(yaml.safe_load((CHART / "values.yaml").read_text()), SCHEMA)


def test_the_chart_is_the_version_of_the_programs():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    workspace = (ROOT / "Cargo.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in workspace
