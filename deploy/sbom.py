"""List what an image holds as CycloneDX: `python3 sbom.py ENVIRONMENT BUNDLE BASE > sbom.cdx.json`.

The distributions that are installed in ENVIRONMENT, by their own metadata; the bundle, by the hash of its manifest; and
the image both lie on, whose own packages are for its maker to list. The same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def bill(environment: Path, bundle: Path, base: str) -> dict[str, Any]:
    """The bill of materials, CycloneDX 1.6."""
    site = next(environment.glob("lib/python3*/site-packages"))
    found = sorted((component(each) for each in distributions(path=[str(site)])), key=lambda one: str(one["purl"]))
    slimner = next(one for one in found if one["name"] == "slimner")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "bom-ref": "image", "name": "slimner", "version": slimner["version"]}
        },
        "components": [*found, model(bundle), {"type": "container", "bom-ref": "base", "name": base}],
        "dependencies": [{"ref": "image", "dependsOn": ["base", "bundle", *(one["bom-ref"] for one in found)]}],
    }


def component(distribution: Distribution) -> dict[str, Any]:
    """One installed distribution."""
    name = re.sub(r"[-_.]+", "-", distribution.name).lower()
    purl = f"pkg:pypi/{name}@{distribution.version}"
    licence = license_of(distribution)
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": distribution.version,
        "purl": purl,
        **({"licenses": licence} if licence else {}),
    }


def license_of(distribution: Distribution) -> list[dict[str, Any]]:
    """Its licence as it says itself: an SPDX expression, else the names it gives."""
    about = distribution.metadata
    if expression := about.get("License-Expression"):
        return [{"expression": expression}]
    names = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or () if line.startswith("License :: ")]
    written = (about.get("License") or "").strip()
    if written and "\n" not in written and not names:
        names = [written]
    return [{"license": {"name": name}} for name in names]


def model(bundle: Path) -> dict[str, Any]:
    """The bundle or artifact that is served; its manifest has the hash of each of its files."""
    manifest = next(path for path in (bundle / "bundle.json", bundle / "manifest.json") if path.is_file())
    content = manifest.read_bytes()
    return {
        "type": "machine-learning-model",
        "bom-ref": "bundle",
        "name": str(json.loads(content).get("artifact", bundle.name)),
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
    }


if __name__ == "__main__":
    listed = bill(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    sys.stdout.write(json.dumps(listed, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
