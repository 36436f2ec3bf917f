"""What one deploys with: examples that fit their schemas and the image, and an environment cut without loss."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "guide" / "container.md").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
KUBERNETES: list[dict[str, Any]] = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]


def of_kind(kind: str) -> dict[str, Any]:
    return next(document for document in KUBERNETES if document["kind"] == kind)


def container() -> dict[str, Any]:
    found: dict[str, Any] = of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


def megabytes(size: str) -> float:
    number, unit = re.fullmatch(r"(\d+)\s*(MB|mb|Mi)", size).groups()  # type: ignore[union-attr]
    return int(number) * (1.0 if unit == "MB" else 1.048576)  # compose's mb are powers of two


def check_compose(path: Path) -> subprocess.CompletedProcess[str]:
    """By the schema of the Compose specification that check-jsonschema carries."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_compose_file_fits_the_specification_and_a_mistake_would_not(tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema")
    assert check_compose(DEPLOY / "compose.yaml").returncode == 0
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(yaml.safe_dump(COMPOSE).replace("read_only", "readonly"), encoding="utf-8")
    assert check_compose(wrong).returncode != 0


@pytest.mark.parametrize("document", KUBERNETES, ids=lambda document: document["kind"])
def test_kubernetes_objects_fit_their_schemas_and_a_mistake_would_not(document: dict[str, Any]) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    for version in ("1.30", schemas.latest_version()):
        schemas.validate(document, version, strict=True)
    with pytest.raises(schemas.ValidationError):
        schemas.validate(
            {**document, "spec": {**document["spec"], "replica": 1}}, schemas.latest_version(), strict=True
        )


def test_the_objects_find_each_other() -> None:
    deployment, service, autoscaler = of_kind("Deployment"), of_kind("Service"), of_kind("HorizontalPodAutoscaler")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    target = autoscaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    names = {port["name"] for port in container()["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    probes = [container()[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")]
    assert [probe["path"] for probe in probes] == ["/readyz", "/readyz", "/healthz"]
    assert {probe["port"] for probe in probes} <= names


def settings_named() -> Iterator[str]:
    yield from COMPOSE["services"]["ner"]["environment"]
    yield from (entry["name"] for entry in container()["env"])
    yield from re.findall(r"\bSLIMNER_\w+(?==)", DOCKERFILE)


def test_every_setting_of_the_examples_is_documented() -> None:
    assert {"SLIMNER_WORKERS", "SLIMNER_TOKEN", "SLIMNER_PORT_NUMBER"} <= set(settings_named())
    for name in settings_named():
        assert f"`{name}`" in DOCS, name


def test_the_examples_take_nothing_that_a_server_does_not_need() -> None:
    service = COMPOSE["services"]["ner"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    pod, context = of_kind("Deployment")["spec"]["template"]["spec"], container()["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    assert (int(user[1]), int(user[2])) == (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"])
    assert int(user[1]) > 0


def test_memory_limits_hold_what_the_ledger_found_and_what_the_server_plans_for() -> None:
    found = re.search(r"^\| embedded, two workers \| (?:\d+ to )?(\d+) MB \| (\d+) MB \|", DOCS, re.MULTILINE)
    assert found is not None
    steady, limit = int(found[1]), int(found[2])
    assert limit >= 1.3 * steady
    kubernetes, compose = container(), COMPOSE["services"]["ner"]
    for given, planned in (
        (kubernetes["resources"]["limits"]["memory"], {e["name"]: e.get("value") for e in kubernetes["env"]}),
        (compose["deploy"]["resources"]["limits"]["memory"], compose["environment"]),
    ):
        assert megabytes(given) >= limit
        assert megabytes(planned["SLIMNER_LIMIT_MEMORY"]) <= megabytes(given)
        assert planned["SLIMNER_WORKERS"] == "2"


def test_the_image_has_its_base_as_an_argument_and_nothing_of_the_build_in_its_last_stage() -> None:
    build, final = DOCKERFILE.split("\nFROM ${BASE}")[1:]
    assert re.search(r"^ARG BASE=\S+:\S+$", DOCKERFILE, re.MULTILINE)
    assert "pip" in build
    assert re.findall(r"^(?:RUN|ADD)\b", final, re.MULTILINE) == []
    assert re.findall(r"^COPY (.+)$", final, re.MULTILINE) == [
        "--from=build /opt/slimner /opt/slimner",
        "--from=build /bundle /bundle",
    ]
    assert final.index("USER ") < final.index("ENTRYPOINT ")


def test_the_build_context_leaves_out_what_is_private_or_large_and_keeps_what_the_wheel_needs() -> None:
    import tomllib

    left_out = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert ".*" in left_out  # .git, .venv, .slimner, .nox and whatever else is hidden
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {
        *project["tool"]["setuptools"]["package-dir"].values(),
        "deploy",
        "pyproject.toml",
        "LICENSE",
        "README.md",
    }
    assert not needed & set(left_out)
    assert {"tests", "docs", "studies"} <= set(left_out)


def distribution(site: Path, name: str, requires: tuple[str, ...], files: dict[str, str]) -> None:
    """Put an installed distribution into a site-packages directory."""
    information = f"{name.replace('-', '_')}-1.dist-info"
    for path, content in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(content, encoding="utf-8")
    (site / information).mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1", *(f"Requires-Dist: {each}" for each in requires)]
    (site / information / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    listed = [*files, f"{information}/METADATA", f"{information}/RECORD"]
    (site / information / "RECORD").write_text("".join(f"{path},,\n" for path in listed), encoding="utf-8")


def test_an_environment_loses_what_serving_never_reaches_and_keeps_the_rest(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    module = {"x": "1"}
    distribution(
        site, "slimner", ("tokenizers>=0.20", "Num_Py (>=1)", 'torch; extra == "lab"'), {"slimner/core.py": ""}
    )
    distribution(site, "tokenizers", ("huggingface-hub<3,>=0.16.4",), {"tokenizers/a.so": "", "tokenizers/a.pyi": ""})
    distribution(site, "huggingface_hub", ("fsspec", "click"), {"huggingface_hub/__init__.py": "", "bin/hf": ""})
    distribution(site, "fsspec", (), {"fsspec/deep/__init__.py": ""})
    distribution(site, "click", (), {"click/__init__.py": ""})
    distribution(site, "torch", (), {"torch/__init__.py": ""})
    distribution(site, "num-py", ("click",), {"num_py/__init__.py": "", "numpy/core/tests/test_a.py": ""} | module)
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "slim.py"), str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "removed" in done.stdout
    left = {
        path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file() and "-info" not in str(path)
    }
    assert left == {"slimner/core.py", "tokenizers/a.so", "click/__init__.py", "num_py/__init__.py", "x"}
    assert {path.name for path in site.iterdir()} == {
        *("slimner", "tokenizers", "click", "num_py", "x"),
        *(f"{name}-1.dist-info" for name in ("slimner", "tokenizers", "click", "num_py")),
    }
    shutil.rmtree(site / "slimner-1.dist-info")
    again = subprocess.run([sys.executable, str(DEPLOY / "slim.py"), str(tmp_path)], capture_output=True, check=False)
    assert (again.returncode, b"no slimner installed" in again.stderr) == (1, True)
    assert (site / "tokenizers" / "a.so").exists()
