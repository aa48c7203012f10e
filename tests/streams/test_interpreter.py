from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from streams.interpreter import prepare
if sys.argv[1] == "prepared":
    prepare()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    requests = [b"x" * (3 << 20) for _ in range(4)]
    del requests
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    run = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's own business")
def test_memory_of_requests_that_were_sent_is_used_again_and_not_fetched_from_the_kernel() -> None:
    assert page_faults("prepared") * 4 < page_faults("as it comes")
