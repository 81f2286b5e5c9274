"""The files of a cluster are what compose, Kubernetes and systemd take, and name only what there is here."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import check_jsonschema
import kubernetes_validate
import prefect.settings
import pytest
import yaml
from jsonschema import Draft7Validator
from prefect.settings.models.root import Settings as PrefectSettings
from prefect_redis.client import RedisMessagingSettings

from catalog.settings import PREFIX, Settings
from flows.command.app import build_app
from tests.deployments.cluster.files import FOLDER, Process, compose, objects, pods, processes, units

ALL = tuple(processes())
IN_URL = re.compile(r"://[^\s/@:]*:[^\s/@]+@")


def settings_of_prefect() -> set[str]:
    """Return the variables that Prefect, and its library for Redis, reads."""
    redis = {f"PREFECT_REDIS_MESSAGING_{name.upper()}" for name in RedisMessagingSettings.model_fields}
    return {
        *prefect.settings.get_current_settings().to_environment_variables(include_secrets=True),
        *_names(PrefectSettings),
        *redis,
    }


def _names(model: Any, *before: str) -> Iterator[str]:
    """Yield the variables of a model of settings, by its fields and by their other names."""
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from _names(field.annotation, *before, name)
        else:
            yield "_".join(("PREFECT", *before, name)).upper()
            aliases = getattr(field.validation_alias, "choices", ())
            yield from (alias.upper() for alias in aliases if isinstance(alias, str))


KNOWN = settings_of_prefect()


def test_every_kind_starts_the_same_processes() -> None:
    kinds = {kind: [p for p in ALL if p.where.startswith(kind)] for kind in ("compose", "kubernetes", "systemd")}
    for kind, found in kinds.items():
        said = " ".join(" ".join(p.command) for p in found)
        for needed in ("catalog.migrate", "prefect server database upgrade", "flows.server.app", "imagewright worker"):
            assert needed in said, (kind, needed)


def test_the_compose_file_is_one() -> None:
    schema = json.loads(
        (Path(check_jsonschema.__file__).parent / "builtin_schemas/vendor/compose-spec.json").read_text()
    )
    errors = [f"{list(error.path)}: {error.message}" for error in Draft7Validator(schema).iter_errors(compose())]
    assert errors == []


def test_what_a_compose_file_names_is_in_it() -> None:
    file = compose()
    for name, service in file["services"].items():
        for kind in ("networks", "secrets"):
            assert set(service.get(kind, ())) <= set(file[kind]), (name, kind)
        assert set(service.get("depends_on", {})) <= set(file["services"]), name
        mounted = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert mounted <= set(file["volumes"]), name
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in file["services"][other], (name, other)


@pytest.mark.parametrize("number", range(len(tuple(objects()))))
def test_every_object_is_one_of_kubernetes(number: int) -> None:
    file, found = tuple(objects())[number]
    kubernetes_validate.validate(found, "1.33", strict=True)
    assert found["kind"] == "Namespace" or found["metadata"]["namespace"] == "imagewright", file


def test_kubernetes_takes_the_folder() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", FOLDER / "kubernetes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(tuple(yaml.safe_load_all(done.stdout))) == len(tuple(objects()))


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    here = []
    for file in sorted((FOLDER / "systemd").iterdir()):
        if file.suffix in {".service", ".timer"}:  # the programs are not where they will be
            text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", file.read_text())
            (tmp_path / file.name).write_text(text.replace("User=imagewright", "User=root"))
            here.append(tmp_path / file.name)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=one", *here], capture_output=True, text=True, check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if tmp_path.name in line or "imagewright" in line]
    assert (done.returncode, said) == (0, []), done.stderr


@pytest.mark.parametrize("process", ALL, ids=lambda process: process.where)
def test_every_setting_is_one(process: Process) -> None:
    ours = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in process.settings:
        assert name in ours | KNOWN | {"PREFECT_HOME"}, f"{process.where} sets {name}, which nobody reads"
    given = {n.removeprefix(PREFIX).lower(): v for n, v in process.settings.items() if n in ours and v}
    Settings.model_validate(given)


@pytest.mark.parametrize("process", ALL, ids=lambda process: process.where)
def test_every_command_is_there(process: Process) -> None:
    words = list(process.command)
    if words[:2] == ["sh", "-ec"]:
        lines = [line.strip().removeprefix("exec ").split() for line in words[2].split("&&")]
    else:
        lines = [[Path(words[0]).name, *words[1:]]]
    for line in lines:
        if line[0] == "python" and line[1] == "-m":
            spec = find_spec(line[2])
            assert spec is not None, line
        elif line[0] == "imagewright":
            assert line[1] in set(build_app()), line
        elif line[0] == "prefect":
            assert line == ["prefect", "server", "database", "upgrade", "--yes"]
        else:
            assert line[:2] == ["python", "-c"], line
            compile(line[2], process.where, "exec")


def test_modules_of_prefect_that_settings_name_are_there() -> None:
    named = {
        value
        for process in ALL
        for name, value in process.settings.items()
        if name.endswith(("_BROKER", "_CACHE", "_ORDERING", "_LEASE_STORAGE"))
    }
    assert len(named) == 3
    assert all(find_spec(name) for name in named), named


def test_servers_that_tell_each_other_have_all_that_needs() -> None:
    for process in ALL:
        if "flows.server.app" in process.command:
            said = [name for name, value in process.settings.items() if value.startswith("prefect_redis.")]
            assert len(said) == 4, process.where
            assert process.settings["PREFECT_SERVER_DATABASE_MIGRATE_ON_START"] == "false"


def test_no_secret_stands_there() -> None:
    texts = {file: file.read_text() for file in FOLDER.rglob("*") if file.is_file() and file.name != "README.md"}
    assert len(texts) > 10
    for file, text in texts.items():
        assert not IN_URL.search(text), file
    for process in ALL:
        for name in process.settings:
            assert not re.search(r"PASSWORD|SECRET|AUTH_STRING|TOKEN|_KEY", name), (process.where, name)
    for _, found in objects():
        assert found["kind"] != "Secret"
    assert {s["file"].partition("/")[0] for s in compose()["secrets"].values()} == {"secrets"}
    assert not (FOLDER / "secrets").exists()


def test_pods_of_kubernetes_are_closed_limited_and_looked_after() -> None:
    for where, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, where
        assert pod["automountServiceAccountToken"] is False, where
        for container in pod["containers"]:
            closed = container["securityContext"]
            assert (closed["readOnlyRootFilesystem"], closed["allowPrivilegeEscalation"]) == (True, False), where
            assert closed["capabilities"] == {"drop": ["ALL"]}, where
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), where
            if not where.startswith("Job "):
                assert {"readinessProbe", "livenessProbe"} <= set(container), where
            if container["image"] == "imagewright:0.1.0":
                assert {"/var/lib/imagewright", "/tmp"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


def test_services_of_compose_are_closed_limited_and_looked_after() -> None:
    for name, service in compose()["services"].items():
        assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"]), name
        if service["image"] == "imagewright:0.1.0":
            assert (service["read_only"], service["user"], service["cap_drop"]) == (True, "10001:10001", ["ALL"]), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} is open to others without TLS"
        if service["restart"] == "unless-stopped":
            assert "healthcheck" in service, name


def test_units_of_systemd_are_closed_and_limited() -> None:
    for name, unit in units().items():
        assert unit.get("User", unit.get("DynamicUser")) in (("imagewright",), ("yes",)), name
        assert (unit["NoNewPrivileges"], unit["ProtectSystem"]) == (("yes",), ("strict",)), name
        assert "MemoryMax" in unit, name


def test_the_page_names_commands_that_there_are() -> None:
    page = (FOLDER / "README.md").read_text()
    assert set(re.findall(r"`(?:[A-Z_]+=\S+ )*imagewright ([a-z-]+)", page)) <= set(build_app())
    assert all(find_spec(name) for name in re.findall(r"python -m ([a-z._]+)", page))
    read = KNOWN | {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(r"\b(?:IMAGEWRIGHT|PREFECT)_[A-Z_]*[A-Z]\b", page)) <= read
