from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kernelbench_cpu.py"
GOOD = "import torch\nfrom torch import nn\nModel = nn.ReLU\ndef get_inputs(): return [torch.rand(2, 3)]\n"


@pytest.mark.slow
def test_every_file_of_a_checkout_gets_its_row(tmp_path: Path) -> None:
    for name, text in {
        "1_good.py": GOOD,
        "2_ends.py": f"{GOOD}import os\nos._exit(0)\n",
        "3_good.py": GOOD,
        "4_bad.py": "(",
    }.items():
        path = tmp_path / "KernelBench" / "level1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--load-only", "--json", "--jobs", "1"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [row["outcome"] for row in rows] == ["described", "refused", "described", "refused"]
    assert rows[0]["inputs"] == ["float32[2,3]"]
    assert "ended" in rows[1]["reason"]
    assert "syntax error" in rows[3]["reason"]
