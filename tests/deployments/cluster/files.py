"""What the files of a cluster say, whatever their kind: processes with commands, settings and probes."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deployments.definitions import ROOT

FOLDER = ROOT / "deployments/cluster"
IMAGE = "imagewright:0.1.0"


@dataclass(frozen=True)
class Process:
    """One process of ours. command: its words; settings: by name, those in clear."""

    where: str
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


def compose() -> dict[str, Any]:
    """Return the compose file."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return found


def objects() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every object of Kubernetes with its file."""
    for file in sorted((FOLDER / "kubernetes").glob("*.yaml")):
        if file.name != "kustomization.yaml":
            yield from ((file, found) for found in yaml.safe_load_all(file.read_text()))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what every pod is to be, with the name of what makes it."""
    for _, found in objects():
        if "template" in found.get("spec", {}):
            yield f"{found['kind']} {found['metadata']['name']}", found["spec"]["template"]["spec"]


def units() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return the values of each name in each unit of systemd; a name may stand there more than once."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for file in sorted((FOLDER / "systemd").glob("*.service")):
        said: dict[str, tuple[str, ...]] = {}
        for line in file.read_text().splitlines():
            name, sign, value = line.partition("=")
            if sign and not line.startswith("#"):
                said[name] = (*said.get(name, ()), value)
        found[file.name] = said
    return found


def env_file(path: Path) -> dict[str, str]:
    """Return the settings of a file of them."""
    lines = (line.partition("=") for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def processes() -> Iterator[Process]:
    """Yield every process of ours that the files start."""
    for name, service in compose()["services"].items():
        if service["image"] == IMAGE:
            yield Process(f"compose {name}", tuple(service["command"]), service["environment"])
    kept = {found["metadata"]["name"]: found["data"] for _, found in objects() if found["kind"] == "ConfigMap"}
    for where, pod in pods():
        for container in pod["containers"]:
            if container["image"] == IMAGE:
                shared = (kept[s["configMapRef"]["name"]] for s in container["envFrom"] if "configMapRef" in s)
                own = {one["name"]: one.get("value", "") for one in container.get("env", ())}
                settings = {name: value for part in (*shared, own) for name, value in part.items()}
                yield Process(f"kubernetes {where}", tuple(container["command"]), settings)
    for name, unit in units().items():
        inline = dict(word.split("=", 1) for line in unit.get("Environment", ()) for word in shlex.split(line))
        files = (FOLDER / "systemd" / Path(file).name for file in unit.get("EnvironmentFile", ()))
        given = {k: v for file in files if file.exists() for k, v in env_file(file).items()}
        for command in unit["ExecStart"]:
            yield Process(f"systemd {name}", tuple(shlex.split(command)), {**given, **inline})
