"""Everything that tests keep goes to a folder of its own, never to the user's."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_home = tempfile.mkdtemp(prefix="kernelwright-tests-")
os.environ["KERNELWRIGHT_HOME"] = _home
atexit.register(shutil.rmtree, _home, ignore_errors=True)
