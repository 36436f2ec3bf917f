"""What building a BERT-base checkpoint costs: time and peak memory of each variant.

    python studies/build_cost.py

Random weights in the shape of bert-base-chinese, every variant built afresh. Exit code 1 if onnx-int8 takes more than
90 s or more than 2.5 GB.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

MOST_S, MOST_BYTES = 90.0, 2_500_000_000


def main() -> None:
    """Build and print."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["SLIMNER_CACHE"] = directory
        from common import artifact_of, where_and_when
        from slimner.reports.tables import markdown
        from slimner.variants import read_manifest

        names = sys.argv[1:] or ["fp32", "dynamic-int8", "onnx-fp32", "onnx-int8"]
        lines, within = [], True
        artifact_of("synthetic:bert-base-chinese", "fp32")  # makes the checkpoint, which is not what is measured
        for name in names:
            begun = time.monotonic()
            manifest = read_manifest(artifact_of("synthetic:bert-base-chinese", name))
            whole = time.monotonic() - begun
            peak = manifest.build_peak_bytes or 0
            cached = name == "fp32"
            spent = f"{manifest.build_s:.0f} s" + ("" if cached else f" ({whole:.0f} s with start and hashing)")
            lines.append((name, spent, f"{peak / 1e9:.2f} GB", f"{manifest.size_bytes / 1e6:.0f} MB"))
            within &= name != "onnx-int8" or (whole <= MOST_S and peak <= MOST_BYTES)
        print(where_and_when())
        print(markdown(("variant", "built in", "peak", "artifact"), lines))
    raise SystemExit(0 if within else 1)


if __name__ == "__main__":
    main()
