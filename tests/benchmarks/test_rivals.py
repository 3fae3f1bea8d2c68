"""What the rivals are made of is locked, from whatever registry it comes."""

import json
import re

from tests.benchmarks import node


def test_the_lock_names_no_registry_and_every_version() -> None:
    text = (node.HOME / "package-lock.json").read_text("utf-8")
    assert not re.search(r'"resolved"|registry|npmjs', text)
    wanted = json.loads((node.HOME / "package.json").read_text("utf-8"))["dependencies"]
    packages = json.loads(text)["packages"]
    assert packages[""]["dependencies"] == wanted
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
