"""What one deploys with: examples that fit their schemas and the image, and an environment cut without loss."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slimner.core.units import parse_size

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
    return parse_size(size.replace("mb", "MiB")) / 1e6  # compose's mb are powers of two


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
    pod = deployment["spec"]["template"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    chosen = [each["labelSelector"] for each in pod["topologySpreadConstraints"]]
    chosen += [of_kind("PodDisruptionBudget")["spec"]["selector"], of_kind("NetworkPolicy")["spec"]["podSelector"]]
    assert len(chosen) == 4
    assert all(selector["matchLabels"].items() <= labels.items() for selector in chosen)
    target = autoscaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    names = {port["name"] for port in container()["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    probes = [container()[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")]
    assert [probe["path"] for probe in probes] == ["/readyz", "/readyz", "/healthz"]
    assert {probe["port"] for probe in probes} <= names
    (rule,) = of_kind("NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for port in rule["ports"]} <= names


def test_a_pod_that_goes_away_takes_no_request_with_it_and_another_stays() -> None:
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    kind, seconds = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert kind == "sleep"
    assert pod["terminationGracePeriodSeconds"] >= int(seconds) + graceful_timeout() + 5
    assert of_kind("Deployment")["spec"]["replicas"] == of_kind("HorizontalPodAutoscaler")["spec"]["minReplicas"] == 2
    assert of_kind("PodDisruptionBudget")["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"app": "slimner"}},
    }


def test_the_private_copy_of_a_bundle_lies_on_a_disk() -> None:
    pod, service = of_kind("Deployment")["spec"]["template"]["spec"], COMPOSE["services"]["ner"]
    place = {entry["name"]: entry["value"] for entry in container()["env"]}["TMPDIR"]
    (mount,) = [mount["name"] for mount in container()["volumeMounts"] if mount["mountPath"] == place]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mount]
    assert "medium" not in volume["emptyDir"]
    assert service["environment"]["TMPDIR"] in service["volumes"]


def graceful_timeout() -> int:
    found = re.search(r"^graceful_timeout = (\d+)$", (ROOT / "serve" / "gunicorn_conf.py").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_a_pod_gets_its_token_from_a_secret_that_must_exist_and_nothing_else_from_the_cluster() -> None:
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    (volume,) = [volume for volume in pod["volumes"] if "secret" in volume]
    assert "optional" not in volume["secret"]
    (mount,) = [mount for mount in container()["volumeMounts"] if mount["name"] == volume["name"]]
    (item,) = volume["secret"]["items"]
    setting = {entry["name"]: entry["value"] for entry in container()["env"]}
    assert setting["SLIMNER_TOKEN_FILE"] == f"{mount['mountPath']}/{item['path']}"
    assert volume["secret"]["defaultMode"] & 0o007 == 0
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def settings_named() -> Iterator[str]:
    yield from COMPOSE["services"]["ner"]["environment"]
    yield from (entry["name"] for entry in container()["env"])
    yield from re.findall(r"\bSLIMNER_\w+(?==)", DOCKERFILE)


def test_every_setting_of_the_examples_is_documented() -> None:
    assert {"SLIMNER_WORKERS", "SLIMNER_TOKEN_FILE", "SLIMNER_PORT_NUMBER"} <= set(settings_named())
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


def test_no_line_of_a_bundle_but_versions_reaches_pip_in_the_build(tmp_path: Path) -> None:
    (step,) = re.findall(r"grep -E .*?> /constraints\.txt", DOCKERFILE, re.DOTALL)
    (tmp_path / "requirements.txt").write_text(
        "flask==3.1.3\nslimner==0.1.0\ntorch==2.13.0+cpu\n--index-url http://127.0.0.1:9/evil\n-r other.txt\n"
        "flask @ http://127.0.0.1:9/flask.whl\nflask==3.1.3 --hash=sha256:0\nnumpy==2; os_name=='x'\nflask==1 \\\n"
    )
    step = (
        step.replace("\\\n", " ").replace("/bundle/", f"{tmp_path}/").replace("/constraints.txt", f"{tmp_path}/found")
    )
    subprocess.run(["sh", "-c", step], check=True)
    assert (tmp_path / "found").read_text() == "flask==3.1.3\ntorch==2.13.0+cpu\n"


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


def test_what_the_image_installs_is_named_with_hashes_and_is_what_the_bundle_was_made_with() -> None:
    locked = (ROOT / "deploy" / "requirements.txt").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", locked, re.MULTILINE))
    bundle = (ROOT / "zoo" / "news_zh" / "bundle" / "requirements.txt").read_text(encoding="utf-8")
    made_with = dict(line.split("==") for line in bundle.split() if not line.startswith("slimner=="))
    assert {name: entries.get(name) for name in made_with} == made_with
    for name in ("requirements.txt", "build.txt"):
        text = (ROOT / "deploy" / name).read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line and line[0] != "#"]
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines)
        assert "://" not in text
    installs = re.findall(r"pip[^&]* install [^&]+", DOCKERFILE)
    assert len(installs) == 3
    assert all("--require-hashes" in one or "--no-deps /wheel/*.whl" in one for one in installs)


def test_the_list_of_contents_is_cyclonedx_and_names_what_is_installed(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    distribution(site, "slimner", (), {"slimner/core.py": ""})
    distribution(site, "Num_Py", (), {"num_py/__init__.py": ""})
    bundle = ROOT / "zoo" / "news_zh" / "bundle"
    command = [sys.executable, str(DEPLOY / "sbom.py"), str(tmp_path), str(bundle), "python:3.13-slim@sha256:00"]
    written = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert written == subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    components = json.loads(written)["components"]
    assert {"pkg:pypi/num-py@1", "pkg:pypi/slimner@1"} == {one["purl"] for one in components if "purl" in one}
    assert components[-1]["name"] == "python:3.13-slim@sha256:00"
    (model,) = [one for one in components if one["type"] == "machine-learning-model"]
    assert model["hashes"][0]["content"] == hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(written) is None


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
