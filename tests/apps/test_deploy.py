"""What deploy/ starts is what the program takes: commands, extras, ports and files are those that exist."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from mofa.apps.cli import _parser

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CLUSTER = list(yaml.safe_load_all((DEPLOY / "ray.yaml").read_text()))
UNIT = (DEPLOY / "mofa-serve.service").read_text()


def commands() -> dict[str, list[str]]:
    """Every command line of mofa's in the folder, without its first word."""
    [job] = [one for one in CLUSTER if one["kind"] == "RayJob"]
    [unit] = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    [image] = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    found = {name: service["command"] for name, service in COMPOSE["services"].items()}
    return found | {
        "image": json.loads(image),
        "cluster": shlex.split(job["spec"]["entrypoint"])[1:],
        "unit": shlex.split(unit)[1:],
    }


@pytest.mark.parametrize("name", commands())
def test_every_command_is_one_that_the_program_takes(name: str) -> None:
    options = _parser().parse_args([str(word) for word in commands()[name]])
    assert options.keys, "whoever others can reach asks for keys"
    assert options.port == 8600


def test_the_image_installs_extras_that_there_are() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [wanted] = re.findall(r'pip install --no-cache-dir "\.\[(.*?)\]"', DOCKERFILE)
    assert set(wanted.split(",")) <= extras.keys()
    copied = re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())


def test_ports_and_volumes_fit_together() -> None:
    assert "EXPOSE 8600" in DOCKERFILE
    assert all(service["ports"] == ["8600:8600"] for service in COMPOSE["services"].values())
    claim, job, service = CLUSTER
    [head] = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    [worker] = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in head["ports"]}["mofa"] == 8600
    assert service["spec"]["ports"][0]["port"] == 8600
    data = {"name": "data", "mountPath": "/data"}
    assert data in head["volumeMounts"]
    assert data in worker["volumeMounts"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
